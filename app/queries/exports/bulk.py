"""Neurons, explanations and scores as rows for programs: in chunks, ordered by layer and index of the neuron.

A chunk has all rows of some neurons, ordered by layer and index, then by id. The next chunk begins after the last
neuron's layer and index, so that an interrupted reader can resume there, whatever has been stored meanwhile.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import Select, and_, func, select, tuple_
from sqlalchemy.orm import Session

from app.models import Explanation, Method, Neuron, Score
from app.queries.runs.active import has_found_nothing

Address: TypeAlias = tuple[int, int]
"""Layer and index."""
CHUNK = 1_000
"""Neurons per chunk."""


@dataclass(frozen=True, slots=True)
class BulkNeuron:
    """A neuron with its statistics, in the model's own units, and the explanation and scores shown for it."""

    neuron_id: int
    layer: int
    index: int
    mean: float | None
    variance: float | None
    skewness: float | None
    kurtosis: float | None
    min: float | None
    max: float | None
    firing_rate: float | None
    """Share of tokens with an activation above 0."""
    explanation_id: int | None
    """The explanation that is shown first."""
    explanation: str | None
    whole_corpus_score: float | None
    whole_corpus_simulator: str | None
    precision: float | None
    recall: float | None
    margin_over_token_table: float | None
    score_2023: float | None
    score_2023_simulator: str | None
    n_explanations: int
    n_open_flags: int
    n_doubts: int
    no_explanation_found: bool
    """Whether a method found nothing worth saying and the neuron has no explanation."""


@dataclass(frozen=True, slots=True)
class BulkExplanation:
    """An explanation. A neuron may have any number of them; they never change."""

    explanation_id: int
    layer: int
    index: int
    text: str
    author_kind: str
    author: str
    method: str | None
    method_version: int | None
    rank: int
    """The rank among the candidates of its run."""
    is_shown: bool
    """Whether the explanation is shown first."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class BulkScore:
    """A score of an explanation, with its 95% interval and baselines."""

    score_id: int
    explanation_id: int
    layer: int
    index: int
    scorer: str
    sample: str
    simulator: str | None
    value: float | None
    undefined_reason: str | None
    interval_low: float | None
    interval_high: float | None
    n_valid: int
    n_failed: int
    token_table: float | None
    shuffled: float | None
    chance: float | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of some neurons. ``next`` is the (layer, index) after which to continue; None at the end."""

    rows: Sequence[Any]
    next: Address | None


ReadChunk: TypeAlias = Callable[..., Chunk]

_NEURONS = select(
    Neuron.id, Neuron.layer, Neuron.index, Neuron.mean, Neuron.variance, Neuron.skewness, Neuron.kurtosis, Neuron.min,
    Neuron.max, Neuron.firing_rate, Neuron.current_explanation_id, Neuron.current_text, Neuron.headline_score,
    Neuron.headline_simulator, Neuron.headline_precision, Neuron.headline_recall, Neuron.headline_margin,
    Neuron.current_score, Neuron.current_simulator, Neuron.n_explanations, Neuron.n_open_flags, Neuron.n_doubts,
    and_(Neuron.current_explanation_id.is_(None), has_found_nothing()),
).order_by(Neuron.layer, Neuron.index)  # fmt: skip
_EXPLANATIONS = (
    select(
        Explanation.id, Neuron.layer, Neuron.index, Explanation.text, Explanation.author_kind, Explanation.author,
        Method.name, Method.version, Explanation.rank,
        func.coalesce(Neuron.current_explanation_id == Explanation.id, False), Explanation.created_at,
    )
    .join(Neuron, Neuron.id == Explanation.neuron_id)
    .outerjoin(Method, Method.id == Explanation.method_id)
    .order_by(Neuron.layer, Neuron.index, Explanation.id)
)  # fmt: skip
_SCORES = (
    select(
        Score.id, Score.explanation_id, Neuron.layer, Neuron.index, Score.scorer, Score.sample, Score.simulator,
        Score.value, Score.undefined_reason, Score.interval_low, Score.interval_high, Score.n_valid, Score.n_failed,
        Score.token_lookup_baseline, Score.shuffled_baseline, Score.chance, Score.created_at,
    )
    .join(Explanation, Explanation.id == Score.explanation_id)
    .join(Neuron, Neuron.id == Explanation.neuron_id)
    .order_by(Neuron.layer, Neuron.index, Score.explanation_id, Score.id)
)  # fmt: skip


def neuron_rows(session: Session, *, subject_id: int, after: Address | None, size: int = CHUNK) -> Chunk:
    """The next neurons. Two queries."""
    return _chunk(session, _NEURONS, BulkNeuron, subject_id, after, size)


def explanation_rows(session: Session, *, subject_id: int, after: Address | None, size: int = CHUNK) -> Chunk:
    """All explanations of the next neurons. Two queries."""
    return _chunk(session, _EXPLANATIONS, BulkExplanation, subject_id, after, size)


def score_rows(session: Session, *, subject_id: int, after: Address | None, size: int = CHUNK) -> Chunk:
    """All scores of the explanations of the next neurons. Two queries."""
    return _chunk(session, _SCORES, BulkScore, subject_id, after, size)


def _chunk(
    session: Session,
    statement: Select[*tuple[Any, ...]],
    row: type[Any],
    subject_id: int,
    after: Address | None,
    size: int,
) -> Chunk:
    own = select(Neuron.id, Neuron.layer, Neuron.index).where(Neuron.subject_id == subject_id)
    if after is not None:
        own = own.where(tuple_(Neuron.layer, Neuron.index) > tuple_(*after))
    found = session.execute(own.order_by(Neuron.layer, Neuron.index).limit(size + 1)).all()
    neurons = found[:size]
    rows = session.execute(statement.where(Neuron.id == func.any([each.id for each in neurons]))) if neurons else ()
    last = neurons[-1] if len(found) > size else None
    return Chunk([row(*values) for values in rows], None if last is None else (last.layer, last[2]))
