"""Explanations with all stored data about them: scores, simulations, flags, verdicts, provenance."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.activations import NORMALISED_MAXIMUM
from app.domain.arrays import Float32s
from app.domain.authors import AuthorKind
from app.domain.imports import RECOMPUTED
from app.domain.review import VerdictKind
from app.domain.samples import SampleKind
from app.domain.splits import Split
from app.formats import records as model
from app.models import (
    Account,
    Campaign,
    Explanation,
    Flag,
    Method,
    ReviewItem,
    ReviewVerdict,
    Sample,
    Score,
    Simulation,
)
from app.queries.imports.explanations import AS_IT_CAME
from app.queries.imports.judgements import NONE, imported_judgements

_LEVELS = [float(level) for level in range(NORMALISED_MAXIMUM + 1)]


class KnownExcerpts(Protocol):
    """Excerpts by id, read when first needed."""

    found: dict[int, model.ActivationRecord]

    def load(self, session: Session, excerpt_ids: Sequence[int]) -> None: ...

    def lengths(self, excerpt_ids: Sequence[int]) -> list[int]: ...


def explanations_of(
    session: Session, *, neuron_ids: Sequence[int], samples: Mapping[int, Sequence[Sample]], excerpts: KnownExcerpts
) -> dict[int, list[model.Explanation]]:
    """The explanations of some neurons, oldest first. ``samples`` has these neurons' samples of every collection."""
    rows = session.execute(
        select(Explanation, Method.name, Method.version)
        .outerjoin(Method, Method.id == Explanation.method_id)
        .where(Explanation.neuron_id.in_(neuron_ids))
        .order_by(Explanation.id)
    ).all()
    ids = [row.Explanation.id for row in rows]
    scores, flags, verdicts = _scores(session, ids), _flags(session, ids), _verdicts(session, ids)
    elsewhere = imported_judgements(session, explanation_ids=ids)
    simulations = _simulations(session, rows, samples, excerpts)
    found: dict[int, list[model.Explanation]] = defaultdict(list)
    for explanation, name, version in rows:
        judged = elsewhere.get(explanation.id, NONE)
        written = model.Explanation(
            text=explanation.text,
            author=explanation.author,
            author_kind=AuthorKind(explanation.author_kind),
            method=None if name is None else f"{name} v{version}",
            rank=explanation.rank,
            created_at=_date(explanation.created_at),
            scores=scores[explanation.id],
            simulations=simulations[explanation.id],
            flags=[*flags[explanation.id], *judged.flags],
            verdicts=[*verdicts[explanation.id], *judged.verdicts],
            provenance=explanation.provenance,
        )
        found[explanation.neuron_id].append(_as_it_came(written))
    return found


def _as_it_came(written: model.Explanation) -> model.Explanation:
    """An imported explanation as its file had it: without a date if the file gave none."""
    if written.author_kind is not AuthorKind.IMPORT:
        return written
    said: dict[str, Any] = dict.fromkeys(AS_IT_CAME) | dict(written.provenance)
    kind = AuthorKind.IMPORT if said["author_kind"] is None else AuthorKind(said["author_kind"])
    return replace(
        written,
        author_kind=kind,
        created_at=said["created_at"],
        method=said["method"],
        facts=said["facts"] or {},
        provenance=said["provenance"] or {},
    )


def _date(moment: datetime) -> str:
    return moment.isoformat()


def _scores(session: Session, ids: Sequence[int]) -> Mapping[int, list[model.Score]]:
    rows = session.execute(
        select(Score, Method.name, Method.version, Explanation.author_kind)
        .join(Explanation, Explanation.id == Score.explanation_id)
        .outerjoin(Method, Method.id == Score.method_id)
        .where(Score.explanation_id.in_(ids))
        .order_by(Score.id)
    )
    found: dict[int, list[model.Score]] = defaultdict(list)
    for score, name, version, author_kind in rows:
        low, high = score.interval_low, score.interval_high
        is_imported = author_kind == AuthorKind.IMPORT and score.run_id is None and score.scorer != RECOMPUTED
        method = None if name is None else f"{name} v{version}"
        said = {"method": method, "created_at": _date(score.created_at)}
        origin = {"method": None, "created_at": None} | (score.origin or {}) if is_imported else said
        found[score.explanation_id].append(
            model.Score(
                scorer=score.scorer,
                sample=score.sample,
                value=score.value,
                undefined_reason=score.undefined_reason,
                interval=None if low is None or high is None else (low, high),
                n_valid=score.n_valid,
                n_failed=score.n_failed,
                token_lookup_baseline=score.token_lookup_baseline,
                shuffled_baseline=score.shuffled_baseline,
                chance=score.chance,
                simulator=score.simulator,
                method=origin["method"],
                created_at=origin["created_at"],
            )
        )
    return found


def _flags(session: Session, ids: Sequence[int]) -> Mapping[int, list[model.Flag]]:
    rows = session.execute(
        select(Flag, Account.name, ReviewItem.outcome)
        .join(Account, Account.id == Flag.account_id)
        .join(ReviewItem, ReviewItem.id == Flag.item_id)
        .where(Flag.explanation_id.in_(ids))
        .order_by(Flag.id)
    )
    found: dict[int, list[model.Flag]] = defaultdict(list)
    for flag, name, outcome in rows:
        found[flag.explanation_id].append(model.Flag(flag.reason, flag.note, name, _date(flag.created_at), outcome))
    return found


def _verdicts(session: Session, ids: Sequence[int]) -> Mapping[int, list[model.Verdict]]:
    """The valid verdicts: no undoings, and none that were undone."""
    undone = select(ReviewVerdict.undoes_id).where(ReviewVerdict.undoes_id.is_not(None))
    rows = session.execute(
        select(ReviewVerdict, ReviewItem.explanation_id, Account.name, Campaign.name.label("campaign"))
        .join(ReviewItem, ReviewItem.id == ReviewVerdict.item_id)
        .join(Account, Account.id == ReviewVerdict.account_id)
        .join(Campaign, Campaign.id == ReviewVerdict.campaign_id)
        .where(ReviewItem.explanation_id.in_(ids), ReviewVerdict.kind.is_not(None), ReviewVerdict.id.not_in(undone))
        .order_by(ReviewVerdict.id)
    )
    found: dict[int, list[model.Verdict]] = defaultdict(list)
    for verdict, explanation_id, reviewer, campaign in rows:
        kind = VerdictKind(str(verdict.kind))
        found[explanation_id].append(
            model.Verdict(
                campaign=campaign,
                reviewer=reviewer,
                verdict=str(kind.verdict),
                kind=verdict.kind,
                confidence=verdict.confidence,
                note=verdict.note,
                created_at=_date(verdict.created_at),
            )
        )
    return found


def _simulations(
    session: Session, rows: Sequence[Any], samples: Mapping[int, Sequence[Sample]], excerpts: KnownExcerpts
) -> Mapping[int, list[model.ScoredSimulation]]:
    neuron_of = {row.Explanation.id: row.Explanation.neuron_id for row in rows}
    stored = session.scalars(
        select(Simulation).where(Simulation.explanation_id.in_(neuron_of)).order_by(Simulation.id)
    ).all()
    excerpts.load(session, [i for simulation in stored for i in simulation.excerpt_ids])
    real = {
        (neuron_id, sample.collection_id, sample.kind): sample for neuron_id, own in samples.items() for sample in own
    }
    found: dict[int, list[model.ScoredSimulation]] = defaultdict(list)
    for simulation in stored:
        sample = real.get((neuron_of[simulation.explanation_id], simulation.collection_id or 0, simulation.kind))
        if sample is not None:
            found[simulation.explanation_id] += _scored(simulation, sample, excerpts)
    return found


def _scored(simulation: Simulation, sample: Sample, excerpts: KnownExcerpts) -> Iterator[model.ScoredSimulation]:
    """The simulation of each excerpt whose real activations are stored."""
    lengths = excerpts.lengths(simulation.excerpt_ids)
    ends = np.cumsum([0, *lengths])
    expected = _floats(simulation.expected)
    uncalibrated = None if simulation.uncalibrated is None else _floats(simulation.uncalibrated)
    width = NORMALISED_MAXIMUM + 1
    distributions = None if simulation.distributions is None else _floats(simulation.distributions).reshape(-1, width)
    real = _rows_by_excerpt(sample, excerpts)
    for i, excerpt_id in enumerate(simulation.excerpt_ids):
        part = slice(int(ends[i]), int(ends[i + 1]))
        if excerpt_id not in real:
            continue
        failure = simulation.failures.get(str(i))
        yield model.ScoredSimulation(
            simulation=_simulation(
                excerpts.found[excerpt_id].tokens,
                expected[part],
                None if uncalibrated is None else uncalibrated[part],
                None if distributions is None else distributions[part],
                simulation.unit,
            ),
            activations=real[excerpt_id],
            kind=SampleKind(simulation.kind),
            split=Split(simulation.split),
            simulator=simulation.simulator,
            failure=failure,
        )


def _simulation(
    tokens: Sequence[str],
    expected: Float32s,
    uncalibrated: Float32s | None,
    distribution: Float32s | None,
    unit: float,
) -> model.Simulation:
    """A simulation in the model's own units if it was calibrated, otherwise on the scale 0..10."""
    probabilities: list[list[float]] = []
    if distribution is not None and np.isfinite(distribution).all():
        probabilities = distribution.tolist()
    values = [_LEVELS] * len(probabilities)
    if uncalibrated is None or not np.isfinite(uncalibrated).all():
        return model.Simulation(tokens, _known(expected), model.ActivationUnit.LEVELS, values, probabilities)
    inner = model.Simulation(tokens, _known(uncalibrated), model.ActivationUnit.LEVELS, values, probabilities)
    scaled = expected * np.float32(unit)
    return model.Simulation(tokens, _known(scaled), model.ActivationUnit.NEURON, uncalibrated=inner)


def _known(values: Float32s) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in values.tolist()]


def _floats(data: bytes) -> Float32s:
    return np.frombuffer(data, dtype="<f2").astype(np.float32)


def _rows_by_excerpt(sample: Sample, excerpts: KnownExcerpts) -> dict[int, list[float]]:
    excerpt_ids = [i for i in sample.excerpt_ids if i in excerpts.found]
    if len(excerpt_ids) != len(sample.excerpt_ids):
        return {}
    flat = _floats(sample.activations)
    ends = np.cumsum([0, *excerpts.lengths(sample.excerpt_ids)])
    return {
        excerpt_id: flat[int(ends[i]) : int(ends[i + 1])].tolist() for i, excerpt_id in enumerate(sample.excerpt_ids)
    }
