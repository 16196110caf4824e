"""Storage of explanations with their scores and simulations, except those that are already stored."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
from psycopg.types.json import Jsonb
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.domain.activations import NORMALISED_MAXIMUM, pack_activations
from app.domain.arrays import Float32s
from app.domain.authors import AuthorKind
from app.domain.imports import RECOMPUTED
from app.domain.results import TOP_AND_RANDOM
from app.domain.samples import SampleKind
from app.domain.scores import correlation
from app.domain.splits import Split
from app.domain.standing import SCORE_2023
from app.domain.storable import storable_json, storable_text
from app.formats import records as model
from app.models import Explanation, Score, Simulation
from app.queries.common.bulk import copy_into
from app.queries.imports.judgements import moment_of, store_judgements

SimulationKey: TypeAlias = tuple[str | None, SampleKind, Split]
ScoreKey: TypeAlias = tuple[str, str, str | None]
TextKey: TypeAlias = tuple[int, str, str]
"""A neuron, a text, its author."""

_EXPLANATION = {"id": "int8", "neuron_id": "int8", "text": "text", "author_kind": "text", "author": "text",
                "rank": "int2", "collection_id": "int8", "provenance": "jsonb"}  # fmt: skip
_SCORE = {"explanation_id": "int8", "collection_id": "int8", "scorer": "text", "sample": "text", "simulator": "text",
          "value": "float8", "undefined_reason": "text", "interval_low": "float8", "interval_high": "float8",
          "n_valid": "int8", "n_failed": "int4", "token_lookup_baseline": "float8", "shuffled_baseline": "float8",
          "chance": "float8", "origin": "jsonb"}  # fmt: skip
_SIMULATION = {"explanation_id": "int8", "collection_id": "int8", "simulator": "text", "kind": "text", "split": "text",
               "unit": "float8", "excerpt_ids": "int8[]", "expected": "bytea", "distributions": "bytea",
               "uncalibrated": "bytea", "failures": "jsonb"}  # fmt: skip
AS_IT_CAME = ("provenance", "facts", "created_at", "method", "author_kind")
"""Data about an imported explanation that has no column: kept under these names for its export.

The ids in its provenance are those of another database.
"""
_NO_VALUE = "the file gives no number"
_NO_PREDICTION = "the file gives no prediction for some of its tokens"


@dataclass(frozen=True, slots=True)
class Simulated:
    """A simulation of a file with its excerpt's id, the sample of the excerpt, and the real activations."""

    excerpt_id: int
    kind: SampleKind
    activations: Float32s
    row: model.ScoredSimulation


@dataclass(frozen=True, slots=True)
class NewExplanation:
    """An explanation of a file, with the neuron's maximum, which is level 10 of a simulation."""

    neuron_id: int
    maximum: float
    found: model.Explanation
    author: str
    simulated: Sequence[Simulated]

    @property
    def key(self) -> TextKey:
        return self.neuron_id, storable_text(self.found.text.strip()), self.author


@dataclass(frozen=True, slots=True)
class StoredExplanations:
    """The number of new explanations and scores in a chunk."""

    n_explanations: int
    n_scores: int
    n_simulations: int
    neuron_ids: tuple[int, ...]
    """Neurons whose explanations or scores have changed."""


def store_explanations(
    session: Session, *, collection_id: int, explanations: Sequence[NewExplanation]
) -> StoredExplanations:
    """Insert new explanations, and new scores and simulations of imported explanations that are already stored.

    An explanation that was made at this site and comes back in an exported file gets only other people's judgements.
    """
    if not explanations:
        return StoredExplanations(0, 0, 0, ())
    neuron_ids = sorted({each.neuron_id for each in explanations})
    known, made_here = _known(session, neuron_ids), _made_here(session, neuron_ids)
    back = [each for each in explanations if (*each.key, moment_of(each.found.created_at)) in made_here]
    returned = {each.key: made_here[*each.key, moment_of(each.found.created_at)] for each in back}
    distinct: dict[TextKey, NewExplanation] = {}
    for each in explanations:
        if each.key not in returned:
            distinct.setdefault(each.key, each)
    fresh = [key for key in distinct if key not in known]
    ids = {**known, **dict(zip(fresh, _next_ids(session, len(fresh)), strict=True))}
    copy_into(session, "explanation", _EXPLANATION, (_row(distinct[key], ids[key], collection_id) for key in fresh))
    old = [ids[key] for key in distinct if key in known]
    had_scores, had_simulations = _scores_of(session, old), _simulations_of(session, old)
    scores, simulations, changed = [], [], {distinct[key].neuron_id for key in fresh}
    for key, each in distinct.items():
        explanation_id = ids[key]
        new_scores = [s for s in _scores(each) if _score_key(s) not in had_scores.get(explanation_id, ())]
        scores += [_score_row(s, explanation_id, collection_id) for s in new_scores]
        groups = {k: v for k, v in _grouped(each).items() if k not in had_simulations.get(explanation_id, ())}
        simulations += [_simulation_row(k, v, each, explanation_id, collection_id) for k, v in groups.items()]
        if new_scores or groups:
            changed.add(each.neuron_id)
    copy_into(session, "score", _SCORE, scores)
    copy_into(session, "simulation", _SIMULATION, simulations)
    store_judgements(session, found=_judged(explanations, {**ids, **returned}))
    return StoredExplanations(len(fresh), len(scores), len(simulations), tuple(sorted(changed)))


def _judged(explanations: Sequence[NewExplanation], ids: Mapping[TextKey, int]) -> dict[int, model.Explanation]:
    """Other people's judgements of each explanation, collected over the whole chunk."""
    judged: dict[int, model.Explanation] = {}
    for each in explanations:
        if each.found.flags or each.found.verdicts:
            earlier = judged.get(ids[each.key])
            flags = [*(earlier.flags if earlier else ()), *each.found.flags]
            verdicts = [*(earlier.verdicts if earlier else ()), *each.found.verdicts]
            judged[ids[each.key]] = replace(each.found, flags=flags, verdicts=verdicts)
    return judged


def attach_scores(
    session: Session, *, collection_id: int, author: str, scores: Mapping[int, Sequence[model.Score]]
) -> tuple[int, set[int], set[int]]:
    """Store scores, by neuron, for the newest explanation of each neuron that was imported under this author.

    Returns the number of new scores, the neurons that got any, and the neurons without such an explanation.
    """
    newest = {
        neuron_id: explanation_id
        for (neuron_id, _, own), explanation_id in reversed(_known(session, sorted(scores)).items())
        if own == author
    }
    had = _scores_of(session, sorted(newest.values()))
    rows, changed = [], set()
    for neuron_id, explanation_id in newest.items():
        for score in scores[neuron_id]:
            if _score_key(score) not in had.get(explanation_id, ()):
                rows.append(_score_row(score, explanation_id, collection_id))
                changed.add(neuron_id)
    copy_into(session, "score", _SCORE, rows)
    return len(rows), changed, scores.keys() - newest.keys()


def _known(session: Session, neuron_ids: Sequence[int]) -> dict[TextKey, int]:
    rows = session.execute(
        select(Explanation.neuron_id, Explanation.text, Explanation.author, Explanation.id)
        .where(Explanation.neuron_id.in_(neuron_ids), Explanation.author_kind == AuthorKind.IMPORT)
        .order_by(Explanation.id.desc())
    )
    return {(neuron_id, stored, author): explanation_id for neuron_id, stored, author, explanation_id in rows}


def _made_here(session: Session, neuron_ids: Sequence[int]) -> dict[tuple[int, str, str, datetime | None], int]:
    """Explanations made by methods and people of this site, by neuron, text, author and time of creation."""
    rows = session.execute(
        select(
            Explanation.neuron_id, Explanation.text, Explanation.author, Explanation.created_at, Explanation.id
        ).where(Explanation.neuron_id.in_(neuron_ids), Explanation.author_kind != AuthorKind.IMPORT)
    )
    return {(neuron_id, stored, author, at): explanation_id for neuron_id, stored, author, at, explanation_id in rows}


def _next_ids(session: Session, n: int) -> list[int]:
    statement = select(func.nextval("explanation_id_seq")).select_from(func.generate_series(1, n))
    return list(session.scalars(statement))


def _scores_of(session: Session, explanation_ids: Sequence[int]) -> dict[int, set[ScoreKey]]:
    found: dict[int, set[ScoreKey]] = {}
    rows = session.execute(
        select(Score.explanation_id, Score.scorer, Score.sample, Score.simulator).where(
            Score.explanation_id.in_(explanation_ids), Score.run_id.is_(None)
        )
    )
    for explanation_id, scorer, sample, simulator in rows:
        found.setdefault(explanation_id, set()).add((scorer, sample, simulator))
    return found


def _simulations_of(session: Session, explanation_ids: Sequence[int]) -> dict[int, set[SimulationKey]]:
    found: dict[int, set[SimulationKey]] = {}
    rows = session.execute(
        select(Simulation.explanation_id, Simulation.simulator, Simulation.kind, Simulation.split).where(
            Simulation.explanation_id.in_(explanation_ids), Simulation.run_id.is_(None)
        )
    )
    for explanation_id, simulator, kind, split in rows:
        found.setdefault(explanation_id, set()).add((simulator, SampleKind(kind), Split(split)))
    return found


def _row(new: NewExplanation, explanation_id: int, collection_id: int) -> tuple[Any, ...]:
    found = new.found
    said = {name: getattr(found, name) for name in AS_IT_CAME}
    provenance = {name: value for name, value in said.items() if value}
    return (
        explanation_id,
        new.neuron_id,
        storable_text(found.text.strip()),
        str(AuthorKind.IMPORT),
        new.author,
        found.rank or 0,
        collection_id,
        Jsonb(storable_json(provenance)),
    )


def _score_key(score: model.Score) -> ScoreKey:
    return score.scorer, score.sample, score.simulator


def _scores(new: NewExplanation) -> list[model.Score]:
    """The file's scores, and beside its 2023 score the same correlation recomputed from its simulations."""
    found = list(new.found.scores)
    stated = next((s for s in found if (s.scorer, s.sample) == (SCORE_2023.scorer, SCORE_2023.sample)), None)
    if stated is None or not new.simulated:
        return found
    pairs = [
        (s.activations, np.array(s.row.simulation.expected, dtype=np.float32))
        for s in new.simulated
        if s.row.simulator == stated.simulator and is_complete(s.row)
    ]
    if not pairs:
        return found
    estimate = correlation([real for real, _ in pairs], [expected for _, expected in pairs])
    ours = model.Score(
        scorer=RECOMPUTED,
        sample=TOP_AND_RANDOM,
        value=estimate.value,
        undefined_reason=estimate.undefined_reason,
        n_valid=len(pairs),
        n_failed=len(new.simulated) - len(pairs),
        simulator=stated.simulator,
    )
    # If an exported file already has this recomputed number, ours replaces it.
    return [*(s for s in found if _score_key(s) != _score_key(ours)), ours]


def is_complete(row: model.ScoredSimulation) -> bool:
    """Whether the simulator gave a finite prediction for every token."""
    return row.failure is None and all(v is not None and math.isfinite(v) for v in row.simulation.expected)


def _score_row(score: model.Score, explanation_id: int, collection_id: int) -> tuple[Any, ...]:
    low, high = score.interval if score.interval is not None else (None, None)
    reason = None if score.value is not None else (score.undefined_reason or _NO_VALUE)
    origin = {name: value for name in ("method", "created_at") if (value := getattr(score, name)) is not None}
    return (
        explanation_id, collection_id, score.scorer, score.sample, score.simulator, score.value, reason, low, high,
        score.n_valid or 0, score.n_failed or 0, score.token_lookup_baseline, score.shuffled_baseline, score.chance,
        Jsonb(storable_json(origin)) if origin else None,
    )  # fmt: skip


def _grouped(new: NewExplanation) -> Mapping[SimulationKey, list[Simulated]]:
    groups: dict[SimulationKey, list[Simulated]] = {}
    for each in new.simulated:
        key = (each.row.simulator, each.kind, each.row.split or Split.VALIDATION)
        groups.setdefault(key, []).append(each)
    return groups


def _simulation_row(
    key: SimulationKey, rows: Sequence[Simulated], new: NewExplanation, explanation_id: int, collection_id: int
) -> tuple[Any, ...]:
    simulator, kind, split = key
    unit = new.maximum / NORMALISED_MAXIMUM if new.maximum > 0 else 1.0
    failures = {str(i): s.row.failure or _NO_PREDICTION for i, s in enumerate(rows) if not is_complete(s.row)}
    return (
        explanation_id,
        collection_id,
        simulator or "",
        str(kind),
        str(split),
        unit,
        [s.excerpt_id for s in rows],
        pack_activations([_levels(s.row.simulation, unit, failed=str(i) in failures) for i, s in enumerate(rows)]),
        _packed([_distribution(s.row.simulation) for s in rows]),
        _packed([_uncalibrated(s.row.simulation) for s in rows]),
        Jsonb(failures),
    )


def _levels(simulation: model.Simulation, unit: float, *, failed: bool = False) -> Float32s:
    """Expected activations on the scale 0..10 [T]; NaN where the simulation failed."""
    if failed:
        return np.full(len(simulation.tokens), np.nan, dtype=np.float32)
    values = np.array(simulation.expected, dtype=np.float32)
    return values / np.float32(unit) if simulation.unit is model.ActivationUnit.NEURON else values


def _uncalibrated(simulation: model.Simulation) -> tuple[Float32s | None, int]:
    inner, n = simulation.uncalibrated, len(simulation.tokens)
    if inner is None or len(inner.expected) != n or None in inner.expected:
        return None, n
    return np.array(inner.expected, dtype=np.float32), n


def _distribution(simulation: model.Simulation) -> tuple[Float32s | None, int]:
    """The probability of each number 0..10 [T, 11], concatenated, if the file gives it on that scale."""
    n = len(simulation.tokens) * (NORMALISED_MAXIMUM + 1)
    source = simulation if simulation.unit is model.ActivationUnit.LEVELS else simulation.uncalibrated
    if source is None or len(source.values) != len(simulation.tokens):
        return None, n
    found = np.zeros((len(source.values), NORMALISED_MAXIMUM + 1), dtype=np.float32)
    for token, (values, probabilities) in enumerate(zip(source.values, source.probabilities, strict=True)):
        for value, probability in zip(values, probabilities, strict=True):
            if value != int(value) or not 0 <= value <= NORMALISED_MAXIMUM:
                return None, n
            found[token, int(value)] = probability
    return found.ravel(), n


def _packed(rows: Sequence[tuple[Float32s | None, int]]) -> bytes | None:
    """The rows concatenated, unknown ones as NaN; None if no row is known."""
    if all(row is None for row, _ in rows):
        return None
    return pack_activations([np.full(n, np.nan, np.float32) if row is None else row for row, n in rows])


def longest_excerpt(session: Session, *, corpus_id: int) -> tuple[int, int]:
    """The number of tokens of a corpus's longest excerpt, and its number of excerpts."""
    row = session.execute(
        text("SELECT coalesce(max(length), 0), count(*) FROM excerpt WHERE corpus_id = :corpus_id"),
        {"corpus_id": corpus_id},
    ).one()
    return int(row[0]), int(row[1])
