"""Filters of neurons as SQL conditions, for lists and for queueing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import ColumnElement, CompoundSelect, Select, exists, false, literal_column, or_, select
from sqlalchemy.orm import Session

from app.domain.authors import AuthorKind
from app.domain.doubts import Doubt
from app.domain.neurons import NeuronState
from app.domain.review import ItemSource, Verdict
from app.models import (
    Account,
    Explanation,
    ExplanationDoubt,
    Flag,
    ListedNeuron,
    Method,
    MethodStanding,
    Neuron,
    ReviewItem,
    Run,
)
from app.queries.common.planning import planned_with
from app.queries.explanations.judged import disputed_explanations
from app.queries.neurons.search_words import search_query
from app.queries.neurons.tokens import driven_by
from app.queries.runs.active import found_nothing, is_active
from app.queries.subjects.null_twins import of_no_null_twin

_PLAN_BY_VALUE = {"plan_cache_mode": "force_custom_plan", "enable_seqscan": "off"}


@dataclass(frozen=True, slots=True)
class ListReference:
    """A list of neurons as a URL refers to it."""

    id: int
    name: str
    """The name in the URL; only the id counts."""


@dataclass(frozen=True, slots=True)
class NeuronFilter:
    """The conditions of a filter; None means no condition, bounds are inclusive."""

    layer: int | None = None
    layer_min: int | None = None
    layer_max: int | None = None
    index_min: int | None = None
    index_max: int | None = None
    headline_min: float | None = None
    headline_max: float | None = None
    score_min: float | None = None
    """Lowest 2023 score."""
    score_max: float | None = None
    margin_min: float | None = None
    margin_max: float | None = None
    twin_min: float | None = None
    """Lowest share of the null twin's neurons in the layer with a lower score."""
    twin_max: float | None = None
    token: str | None = None
    """One of the neuron's strongest tokens, as written or with a space before it."""
    token_part: bool = False
    """Whether ``token`` may be a part of a strongest token."""
    simulator: str | None = None
    """The simulator of the score that is bounded: the headline or the 2023 score; of either where both or none is."""
    rate_min: float | None = None
    """Lowest share of tokens with an activation above 0."""
    rate_max: float | None = None
    state: NeuronState | None = None
    doubt: Doubt | None = None
    """A doubt about the explanation that is shown first."""
    method: str | None = None
    """The name of the method that made the explanation that is shown first, in any version."""
    author: AuthorKind | None = None
    """The author of the explanation that is shown first."""
    verdict: Verdict | None = None
    """The reviewers' verdict on the explanation that is shown first."""
    in_list: ListReference | None = None
    """A list of neurons that contains the neuron."""
    by: str | None = None
    """Name of an account that flagged or wrote one of the neuron's explanations."""
    words: str | None = None
    """Words of the explanation; quotes, ``or`` and ``-`` as in web search engines, ``*`` after a word's beginning."""


EVERY_NEURON = NeuronFilter()
_RANGED = {
    "layer": Neuron.layer,
    "index": Neuron.index,
    "headline": Neuron.headline_score,
    "score": Neuron.current_score,
    "margin": Neuron.headline_margin,
    "twin": Neuron.twin_percentile,
    "rate": Neuron.firing_rate,
}
"""Filters with a lowest and a highest value."""


@contextmanager
def planned_by_value(session: Session, wanted: NeuronFilter) -> Iterator[None]:
    """Context manager within which searches are planned for their actual words.

    A generic plan knows neither the number of matches nor the parsed search, which it would parse again for every row.
    And if a rare combination of words is taken for a frequent one, a scan for the first matches reads the whole table.
    """
    if not wanted.words:
        yield
        return
    with planned_with(session, _PLAN_BY_VALUE):
        yield


def filter_conditions(subject_id: int | None, wanted: NeuronFilter) -> list[ColumnElement[bool]]:
    """Conditions of a filter on a subject's neurons; without a subject, on all neurons except those of null twins."""
    conditions = [_of_subject(subject_id)]
    if wanted.layer is not None:
        conditions.append(Neuron.layer == wanted.layer)
    conditions += _ranges(wanted)
    if wanted.token is not None:
        conditions.append(driven_by(subject_id, wanted.token, is_part=wanted.token_part))
    if wanted.simulator is not None:
        conditions.append(_by_simulator(wanted))
    if wanted.doubt is not None:
        conditions.append(Neuron.id.in_(_doubted(subject_id, wanted.doubt)))
    if wanted.by is not None:
        conditions.append(Neuron.id.in_(_touched(wanted.by)))
    if wanted.in_list is not None:
        listed = select(ListedNeuron.neuron_id).where(ListedNeuron.list_id == wanted.in_list.id)
        conditions.append(Neuron.id.in_(listed))
    conditions += _of_explanation(wanted)
    if wanted.words and wanted.state is NeuronState.UNEXPLAINED:
        conditions.append(false())  # tells the planner that a neuron without an explanation has no words
    elif wanted.words:
        conditions.append(Neuron.search.op("@@", is_comparison=True)(search_query(wanted.words)))
    if wanted.state is not None:
        conditions.append(_in_state(wanted.state))
    return conditions


def _of_subject(subject_id: int | None) -> ColumnElement[bool]:
    if subject_id is not None:
        return Neuron.subject_id == subject_id
    return of_no_null_twin(Neuron.subject_id)


def _of_explanation(wanted: NeuronFilter) -> Iterator[ColumnElement[bool]]:
    """Conditions on the author of the explanation that is shown first, and on reviewers' verdicts about it."""
    standing = exists().where(
        MethodStanding.neuron_id == Neuron.id, MethodStanding.explanation_id == Neuron.current_explanation_id
    )
    if wanted.method is not None:
        versions = select(Method.id).where(Method.name == wanted.method)
        yield standing.where(MethodStanding.method_id.in_(versions))
    if wanted.author is AuthorKind.METHOD:
        yield standing
    elif wanted.author is not None:
        yield exists().where(
            Explanation.neuron_id == Neuron.id,
            Explanation.id == Neuron.current_explanation_id,
            Explanation.author_kind == literal_column(f"'{wanted.author}'"),
        )
    if wanted.verdict is not None:
        yield Neuron.current_explanation_id.in_(
            select(ReviewItem.explanation_id).where(
                ReviewItem.outcome == literal_column(f"'{wanted.verdict}'"),
                ReviewItem.source != literal_column(f"'{ItemSource.CONTROL}'"),
            )
        )


def _by_simulator(wanted: NeuronFilter) -> ColumnElement[bool]:
    of_headline = Neuron.headline_simulator == wanted.simulator
    of_score = Neuron.current_simulator == wanted.simulator
    bounds_headline = wanted.headline_min is not None or wanted.headline_max is not None
    bounds_score = wanted.score_min is not None or wanted.score_max is not None
    if bounds_headline == bounds_score:
        return or_(of_headline, of_score)
    return of_headline if bounds_headline else of_score


def _ranges(wanted: NeuronFilter) -> Iterator[ColumnElement[bool]]:
    for name, column in _RANGED.items():
        low, high = getattr(wanted, f"{name}_min"), getattr(wanted, f"{name}_max")
        if low is not None:
            yield column >= low
        if high is not None:
            yield column <= high


def _in_state(state: NeuronState) -> ColumnElement[bool]:
    match state:
        case NeuronState.UNEXPLAINED:
            return Neuron.current_explanation_id.is_(None)
        case NeuronState.EXPLAINED:
            return Neuron.current_explanation_id.is_not(None)
        case NeuronState.DOUBTFUL:
            return Neuron.n_doubts > literal_column("0")
        case NeuronState.NEEDS_EXPLANATION:
            return Neuron.current_explanation_id.is_(None) & (Neuron.n_explanations > literal_column("0"))
        case NeuronState.FLAGGED:
            return Neuron.n_open_flags > literal_column("0")
        case NeuronState.DISPUTED:
            return Neuron.current_explanation_id.in_(disputed_explanations())
        case NeuronState.QUEUED:
            return Neuron.id.in_(select(Run.neuron_id).where(is_active()))
        case NeuronState.NO_EXPLANATION:
            return Neuron.current_explanation_id.is_(None) & Neuron.id.in_(select(Run.neuron_id).where(found_nothing()))


def _doubted(subject_id: int | None, doubt: Doubt) -> Select[int]:
    """Neurons of a subject with a doubt. The doubt's own subject column is used, so that one index has all columns."""
    found = select(ExplanationDoubt.neuron_id).where(ExplanationDoubt.doubt == doubt, ExplanationDoubt.is_current)
    return found if subject_id is None else found.where(ExplanationDoubt.subject_id == subject_id)


def _touched(name: str) -> CompoundSelect[int]:
    """Neurons of which an account flagged or wrote an explanation."""
    account = select(Account.id).where(Account.name == name).scalar_subquery()
    flagged = select(Explanation.neuron_id).join(Flag, Flag.explanation_id == Explanation.id)
    written = select(Explanation.neuron_id).where(Explanation.account_id == account)
    return flagged.where(Flag.account_id == account).union(written)
