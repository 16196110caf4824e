"""Search by meaning between URLs and queries: the state of a searched text, and the possible orders of a list."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.domain.embeddings import EmbeddingSource
from app.errors import NotFound
from app.queries.embeddings.lookup import Nearness, nearness, query_task
from app.queries.embeddings.source import embedding_source
from app.queries.neurons.listing import NeuronsQuery
from app.queries.neurons.order import NeuronSort, SortKey
from app.queries.runs.progress import worker_count
from app.settings import Settings
from app.web.listing.filters import ListRequest
from app.web.listing.waiting import QUICK_SECONDS, TrialState, state_of

_OTHERWISE = NeuronSort(SortKey.HEADLINE)


@dataclass(frozen=True, slots=True)
class MeaningSearch:
    """A text with which explanations are compared, and its state."""

    text: str
    state: TrialState
    """``none`` if no text was sent, or if the text must be sent by a form first."""
    error: str | None = None
    is_slow: bool = False
    workers_alive: int = 0


@dataclass(frozen=True, slots=True)
class FoundMeaning:
    """The result of looking up a text: the vector to compare explanations with, if it exists."""

    shown: MeaningSearch
    near: Nearness | None


def required_source(settings: Settings) -> EmbeddingSource:
    """The embedding model of the settings. Raises NotFound if there is none: then such pages do not exist."""
    source = embedding_source(settings)
    if source is None:
        raise NotFound
    return source


def find_meaning(
    session: Session, *, source: EmbeddingSource, request: ListRequest, task_id: int | None
) -> FoundMeaning:
    """The state of the text in a URL, which a task may be embedding. Starts no work."""
    text = request.meaning
    if not text:
        return FoundMeaning(MeaningSearch("", "none"), None)
    near = nearness(session, source=source, text=text)
    if near is not None:
        return FoundMeaning(MeaningSearch(text, "done"), near)
    task = None if task_id is None else query_task(session, task_id=task_id, source=source, text=text)
    if task is None:
        return FoundMeaning(MeaningSearch(text, "none"), None)
    state = state_of(task.status, has_result=False, age_seconds=task.age_seconds)
    alive = worker_count(session).alive
    return FoundMeaning(MeaningSearch(text, state, task.error, task.age_seconds > QUICK_SECONDS, alive), None)


def neurons_query(
    session: Session, *, settings: Settings, subject_id: int | None, request: ListRequest
) -> NeuronsQuery:
    """The query for a list's request. An order by meaning without an embedding becomes the default order."""
    if request.sort.key is not SortKey.MEANING:
        return NeuronsQuery(subject_id, request.filter, request.sort)
    source = embedding_source(settings)
    near = None if source is None else nearness(session, source=source, text=request.meaning)
    if near is None:
        return NeuronsQuery(subject_id, request.filter, _OTHERWISE)
    return NeuronsQuery(subject_id, request.filter, request.sort, near)
