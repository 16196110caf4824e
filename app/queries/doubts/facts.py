"""The facts from which doubts about explanations follow, read for several neurons of one subject at a time."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from sqlalchemy import (
    ARRAY,
    BigInteger,
    SmallInteger,
    any_,
    bindparam,
    column,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy import text as sql
from sqlalchemy.orm import Session, aliased

from app.domain.activations import ActivationRecord, SampleKind, unpack_activations
from app.domain.arrays import Float64s
from app.domain.authors import AuthorKind
from app.domain.doubt_rules import EvidenceFacts, Facts
from app.domain.doubts import LEAST_DOCUMENTS
from app.domain.evidence import evidence_facts
from app.domain.headlines import HeadlineKind
from app.domain.standing import SCORE_2023
from app.models import (
    CollectedNeuron,
    Collection,
    CorpusCheck,
    Document,
    Excerpt,
    Explanation,
    Neuron,
    Sample,
    Score,
    Subject,
)
from app.queries.common.prepared import PreparedSelect, one_round_trip, rows_of
from app.queries.doubts.scored import DoubtedScore, DoubtedText, score_facts
from app.queries.explanations.checked import ITS_CHECK

LEAST_TWINS = 20
"""Least scored neurons in a null twin's layer for a comparison: with fewer, one neuron alone would be over 5 %."""

TwinScores: TypeAlias = Mapping[tuple[int, str, str | None], Float64s]
"""The scores of a null twin's neurons by layer, scorer and simulator, ascending."""


@dataclass(frozen=True, slots=True)
class DoubtedNeuron:
    """A neuron with the keys of its subject's facts."""

    id: int
    subject_id: int
    layer: int
    current_explanation_id: int | None
    collection_id: int | None
    corpus_id: int | None
    twin_id: int | None
    """The id of the subject's null twin."""


@dataclass(frozen=True, slots=True)
class DoubtedExplanation:
    """An explanation with all facts from which doubts about it follow."""

    id: int
    neuron: DoubtedNeuron
    facts: Facts

    @property
    def is_current(self) -> bool:
        """Whether the explanation is shown first for its neuron."""
        return self.id == self.neuron.current_explanation_id


@dataclass(frozen=True, slots=True)
class _Top:
    neuron_id: int
    excerpt_ids: list[int]
    activations: bytes


@dataclass(frozen=True, slots=True)
class _Alike:
    neuron_id: int
    n_alike: int | None


@dataclass(frozen=True, slots=True)
class _Excerpt:
    id: int
    document_id: int | None
    token_ids: list[int]


@dataclass(frozen=True, slots=True)
class _Number:
    n: int


@dataclass(frozen=True, slots=True)
class _Sharing:
    id: int
    n: int


@dataclass(frozen=True, slots=True)
class _Twins:
    layer: int
    scorer: str
    simulator: str | None
    scores: list[float]


_IDS = any_(bindparam("neuron_ids", type_=ARRAY(BigInteger)))
_TWIN = aliased(Subject)

# Built once at import: building these statements takes longer than executing them.
_NEURONS = PreparedSelect(
    DoubtedNeuron,
    select(
        Neuron.id,
        Neuron.subject_id,
        Neuron.layer,
        Neuron.current_explanation_id,
        Subject.collection_id,
        Collection.corpus_id,
        select(func.min(_TWIN.id)).where(_TWIN.null_twin_of_id == Subject.id).scalar_subquery().label("twin_id"),
    )
    .join(Subject, Subject.id == Neuron.subject_id)
    .outerjoin(Collection, Collection.id == Subject.collection_id)
    .where(Neuron.id == _IDS)
    .order_by(Neuron.id),
)
_TEXTS = PreparedSelect(
    DoubtedText,
    select(
        Explanation.id,
        Explanation.neuron_id,
        Explanation.text,
        Explanation.rank,
        Explanation.method_id,
        Explanation.collection_id,
        (Explanation.author_kind == literal(AuthorKind.IMPORT.value)).label("is_imported"),
    )
    .where(Explanation.neuron_id == _IDS)
    .order_by(Explanation.id),
)
_SCORES = PreparedSelect(
    DoubtedScore,
    select(
        Score.explanation_id,
        Score.scorer,
        Score.sample,
        Score.simulator,
        Score.run_id,
        Score.collection_id,
        Score.value,
        Score.undefined_reason,
        Score.interval_low,
        Score.interval_high,
        Score.n_valid,
        Score.n_failed,
        Score.token_lookup_baseline,
        Score.shuffled_baseline,
        Score.chance,
        CorpusCheck.precision,
        CorpusCheck.recall,
    )
    .join(Explanation, Explanation.id == Score.explanation_id)
    .outerjoin(CorpusCheck, ITS_CHECK)
    .where(Explanation.neuron_id == _IDS)
    .order_by(Score.id),
)
_TOP = PreparedSelect(
    _Top,
    select(Sample.neuron_id, Sample.excerpt_ids, Sample.activations).where(
        Sample.neuron_id == _IDS,
        Sample.collection_id == bindparam("collection_id"),
        Sample.kind == literal(SampleKind.TOP.value),
    ),
)
_ALIKE = PreparedSelect(
    _Alike,
    select(CollectedNeuron.neuron_id, CollectedNeuron.n_alike).where(
        CollectedNeuron.neuron_id == _IDS, CollectedNeuron.collection_id == bindparam("collection_id")
    ),
)
_EXCERPTS = PreparedSelect(
    _Excerpt,
    select(Excerpt.id, Excerpt.document_id, Excerpt.token_ids).where(
        Excerpt.id == any_(bindparam("excerpt_ids", type_=ARRAY(BigInteger)))
    ),
)
_DOCUMENTS = PreparedSelect(
    _Number,
    select(func.count().label("n")).select_from(
        select(literal(1))
        .select_from(Document)
        .where(Document.corpus_id == bindparam("corpus_id"))
        .limit(LEAST_DOCUMENTS)
        .subquery()
    ),
)


def _twin_scores(scorer: Any, simulator: Any, score: Any) -> Any:
    """One row per neuron of the null twin, with its defined score of one kind."""
    return select(Neuron.layer, scorer.label("scorer"), simulator.label("simulator"), score.label("score")).where(
        Neuron.subject_id == bindparam("twin_id"),
        Neuron.layer == any_(bindparam("layers", type_=ARRAY(SmallInteger))),
        score.is_not(None),
    )


_PEERS = union_all(
    _twin_scores(Neuron.headline_scorer, Neuron.headline_simulator, Neuron.headline_score),
    _twin_scores(literal(SCORE_2023.scorer), Neuron.current_simulator, Neuron.current_score),
).subquery()
_TWINS = PreparedSelect(
    _Twins,
    select(
        _PEERS.c.layer,
        _PEERS.c.scorer,
        _PEERS.c.simulator,
        func.array_agg(_PEERS.c.score).label("scores"),
    ).group_by(_PEERS.c.layer, _PEERS.c.scorer, _PEERS.c.simulator),
)
# Counting stops at a bound: counting a text that thousands share would take longer than the run itself.
_SHARING = PreparedSelect(
    _Sharing,
    sql("""
    SELECT mine.id, count(*) AS n
    FROM explanation AS mine
    JOIN neuron AS own ON own.id = mine.neuron_id
    JOIN subject ON subject.id = own.subject_id
    JOIN LATERAL (
        (SELECT other.id FROM neuron AS other
        WHERE other.subject_id = own.subject_id AND md5(other.current_text) = md5(mine.text)
        LIMIT 1000)
        UNION
        (SELECT other.id
        FROM corpus_check AS checked
        JOIN corpus_check AS equal ON equal.collection_id = checked.collection_id
            AND md5(equal.reading) = md5(checked.reading)
        JOIN explanation AS theirs ON theirs.id = equal.explanation_id
        JOIN neuron AS other ON other.id = theirs.neuron_id AND other.current_explanation_id = theirs.id
        WHERE checked.explanation_id = mine.id AND checked.collection_id = subject.collection_id
            AND other.subject_id = own.subject_id
        LIMIT 1000)
    ) AS sharing ON sharing.id <> own.id
    WHERE mine.neuron_id = ANY(CAST(:neuron_ids AS bigint[]))
    GROUP BY mine.id
""").columns(column("id", BigInteger), column("n", BigInteger)),
)


def doubted_explanations(session: Session, *, neuron_ids: Sequence[int]) -> list[DoubtedExplanation]:
    """Every explanation of some neurons of one subject, with its facts. Three round trips for any number of neurons."""
    neurons = {row.id: row for row in rows_of(session, _NEURONS.given(neuron_ids=list(neuron_ids)))}
    if not neurons:
        return []
    ids, first = list(neurons), next(iter(neurons.values()))
    here = {"neuron_ids": ids, "collection_id": first.collection_id}
    layers = sorted({neuron.layer for neuron in neurons.values()})
    with one_round_trip(session) as trip:
        texts, scores = trip.send(_TEXTS.given(neuron_ids=ids)), trip.send(_SCORES.given(neuron_ids=ids))
        top, alike = (trip.send(statement.given(**here)) for statement in (_TOP, _ALIKE))
        sharers = trip.send(_SHARING.given(neuron_ids=ids))
        documents = trip.send(_DOCUMENTS.given(corpus_id=first.corpus_id))
        twins = trip.send(_TWINS.given(twin_id=first.twin_id, layers=layers))
    sharing = {row.id: row.n for row in sharers.rows}
    evidence = _evidence(session, top.rows, {row.neuron_id: row.n_alike for row in alike.rows}, documents.rows[0].n)
    twin_scores = {(row.layer, row.scorer, row.simulator): np.sort(np.array(row.scores)) for row in twins.rows}
    texts_of, scores_of = _grouped(texts.rows), defaultdict[int, list[DoubtedScore]](list)
    for score in scores.rows:
        scores_of[score.explanation_id].append(score)
    found = []
    for text in texts.rows:
        neuron = neurons[text.neuron_id]
        facts = Facts(
            text=text.text,
            n_sharing=sharing.get(text.id, 0),
            scores=score_facts(
                text, texts_of[text.neuron_id], scores_of, partial(_twin_share, twin_scores, neuron.layer)
            ),
            evidence=evidence.get(text.neuron_id, EvidenceFacts()),
        )
        found.append(DoubtedExplanation(text.id, neuron, facts))
    return found


def _grouped(texts: Sequence[DoubtedText]) -> Mapping[int, list[DoubtedText]]:
    groups = defaultdict[int, list[DoubtedText]](list)
    for text in texts:
        groups[text.neuron_id].append(text)
    return groups


def _twin_share(
    scores: TwinScores, layer: int, value: float, kind: HeadlineKind, simulator: str | None
) -> float | None:
    """The chance that a method scores as high on a neuron without meaning: (n_at_least + 1) / (n + 1).

    ``n`` neurons of the twin's layer have a score of the same kind and simulator, ``n_at_least`` of them as high or
    higher; None if ``n`` is too small. One is added on both sides, so that no finite control proves a chance of 0.
    Source: Phipson and Smyth, "Permutation p-values should never be zero" (2010).
    """
    peers = scores.get((layer, kind.name_of_score.scorer, simulator))
    if peers is None or len(peers) < LEAST_TWINS:
        return None
    n_at_least = len(peers) - int(np.searchsorted(peers, value, side="left"))
    return (n_at_least + 1) / (len(peers) + 1)


def _evidence(
    session: Session, samples: Sequence[_Top], n_alike: Mapping[int, int | None], n_documents: int
) -> dict[int, EvidenceFacts]:
    wanted = sorted({excerpt_id for sample in samples for excerpt_id in sample.excerpt_ids})
    excerpts = {row.id: row for row in rows_of(session, _EXCERPTS.given(excerpt_ids=wanted))} if wanted else {}
    found = {}
    for sample in samples:
        own = [excerpts[excerpt_id] for excerpt_id in sample.excerpt_ids]
        rows = unpack_activations(sample.activations, [len(excerpt.token_ids) for excerpt in own])
        records = [
            ActivationRecord(excerpt.id, np.array(excerpt.token_ids, dtype=np.int32), row)
            for excerpt, row in zip(own, rows, strict=True)
        ]
        found[sample.neuron_id] = evidence_facts(
            records,
            [excerpt.document_id for excerpt in own],
            n_documents=n_documents,
            n_alike=n_alike.get(sample.neuron_id),
        )
    return found
