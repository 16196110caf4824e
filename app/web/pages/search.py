"""The search: explanations of all subjects, the best match first, and what the matches have in common."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import Form, Query
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from app.domain.bounds import BIGGEST_ID, LONGEST_FILTERS, LONGEST_SEARCH, LONGEST_SLUG
from app.domain.neurons import NeuronState
from app.domain.roles import Permission
from app.errors import NotFound
from app.queries.common.inputs import plain_text
from app.queries.embeddings.lookup import nearness
from app.queries.embeddings.source import embedding_source
from app.queries.neurons.facets import facets_of
from app.queries.neurons.filters import NeuronFilter
from app.queries.neurons.listing import NeuronsQuery, counted_page
from app.queries.neurons.matches import Matches
from app.queries.neurons.order import SortKey
from app.queries.neurons.random_match import random_match
from app.queries.neurons.rows import NeuronRow, mixed_columns
from app.queries.neurons.search_words import Unsearchable, why_unsearchable
from app.queries.subjects.lookup import SubjectName, named_subject, one_of, subject_names
from app.settings import Settings
from app.web.deps import AppSettings, CurrentViewer, DbSession, MayTry
from app.web.http.routing import PageRouter
from app.web.http.visits import Visit
from app.web.listing.facets import FacetShown, shown_facets
from app.web.listing.filters import (
    BY_MEANING,
    BY_RELEVANCE,
    SORT_LABELS,
    FilterChip,
    FilterFields,
    ListRequest,
    kept_filters,
    read_filters,
)
from app.web.listing.meaning import FoundMeaning, MeaningSearch, find_meaning, required_source
from app.web.listing.sent_filters import ListFilters
from app.web.rendering.templating import CurrentView, page
from app.work.embeddings import enqueue_query

router = PageRouter()

ORDERS = {
    BY_RELEVANCE: "Best match first",
    "-headline": "Best over the whole corpus first",
    "headline": "Worst over the whole corpus first",
    "-score": "Best 2023 score first",
    "score": "Worst 2023 score first",
}
HINTS = {
    Unsearchable.EMPTY: "The search has only punctuation. Add a word.",
    Unsearchable.ONLY_EXCLUDES: "Beside what is excluded the search has no words. Add one that texts should have.",
}
SubjectField = Annotated[str, Query(max_length=LONGEST_SLUG, description="Slug of the only subject to search")]


class MeaningForm(BaseModel):
    """What a person sends to search by meaning."""

    meaning: str
    filters: str = Field("", max_length=LONGEST_FILTERS)
    """The other filters of the search, as a query string."""
    subject: str = Field("", max_length=LONGEST_SLUG)


@dataclass(frozen=True, slots=True)
class FoundRow:
    """A neuron found by the search."""

    subject: SubjectName
    address: str
    """URL of the neuron's page, with the list of matches in its subject."""
    neuron: NeuronRow


@dataclass(frozen=True, slots=True)
class SearchPage:
    """Explanations that were found."""

    fields: FilterFields
    subject: str
    """The slug of the only subject that is searched; empty for all but null twins."""
    subjects: tuple[SubjectName, ...]
    matches: Matches | None
    """None without a search."""
    rows: tuple[FoundRow, ...]
    previous: str | None
    next: str | None
    chips: tuple[FilterChip, ...]
    orders: dict[str, str]
    facets: str | None
    """URL of the facets of the matches."""
    random: str | None
    """URL of a redirect to a random match; None without matches."""
    hint: str | None
    """The reason for an empty result, if it is not that nothing matches."""
    visits: tuple[Visit, ...]
    """The neurons opened last, newest first."""
    may_keep: bool
    """Whether the viewer may save searches."""
    meaning: MeaningSearch | None
    """The text with which explanations are compared; None if no embedding model is set."""
    here: str
    """URL of this search."""
    kept: str
    """The filters that a search by meaning keeps."""

    @property
    def order(self) -> str:
        """How the results are sorted."""
        return self.fields.sort or BY_RELEVANCE

    @property
    def mixed(self) -> tuple[SortKey, ...]:
        """The columns that show scores of several simulators, which are not comparable."""
        return mixed_columns(row.neuron for row in self.rows)

    @property
    def is_by_meaning(self) -> bool:
        """Whether each result has a similarity."""
        return any(row.neuron.similarity is not None for row in self.rows)


@dataclass(frozen=True, slots=True)
class SearchFacets:
    """How many matches have which value."""

    facets: tuple[FacetShown, ...]
    counted: Matches
    back: str
    """URL of the matches."""


@page(router, "/search", template="search/page.html", partial="search/_results.html")
def search(  # noqa: PLR0913 - FastAPI reads a route's inputs from its arguments
    session: DbSession,
    settings: AppSettings,
    view: CurrentView,
    viewer: CurrentViewer,
    filters: ListFilters,
    *,
    subject: SubjectField = "",
    asked: Annotated[int | None, Query(ge=1, le=BIGGEST_ID, description="The task that embeds the meaning")] = None,
    after: str | None = None,
    before: str | None = None,
) -> SearchPage:
    """Explanations of one or of all subjects that have the words or the token, or are near to a meaning."""
    names = subject_names(session)
    only = one_of(names, subject) if subject else None
    request, meaning = _with_meaning(session, settings, filters, asked)
    shown = SearchPage(
        fields=request.fields, subject=subject, subjects=names, matches=None, rows=(), previous=None, next=None,
        chips=_chips(request.fields, subject), orders=_orders(request.fields), facets=None, random=None,
        hint=_hint(session, request), visits=view.visits,
        meaning=None if meaning is None else meaning.shown,
        here=address_of(request.fields, subject, asked=None if asked is None else str(asked)),
        kept=request.fields.query(meaning=None, sort=None).removeprefix("?"),
        may_keep=viewer is not None and viewer.may(Permission.KEEP_LISTS),
    )  # fmt: skip
    query = _query(only, request, meaning)
    if shown.hint is not None or query is None:
        return shown
    matches, found = counted_page(
        session, query=query, size=settings.page_size, after=after or None, before=before or None
    )
    by_id = {each.id: each for each in names}
    fields = request.fields
    return replace(
        shown,
        matches=matches,
        rows=tuple(_row(by_id[row.subject_id], row, fields) for row in found.rows),
        previous=None if found.previous is None else address_of(fields, subject, before=found.previous),
        next=None if found.next is None else address_of(fields, subject, after=found.next),
        facets=address_of(fields, subject, path="/search/facets"),
        random=address_of(fields, subject, path="/search/random") if found.rows else None,
    )


@page(router, "/search/facets", template="search/facets.html", partial="search/_facets.html")
def search_facets(
    session: DbSession,
    settings: AppSettings,
    filters: ListFilters,
    subject: SubjectField = "",
    to: Annotated[Literal["search", "list"], Query(description="The page that the links lead to")] = "search",
) -> SearchFacets:
    """What the matches of a search, or of a subject's list, have in common."""
    known = subject_names(session)
    only = one_of(known, subject) if subject else None
    names = {str(each.id): each for each in known}
    is_by_meaning = bool(filters.meaning) and embedding_source(settings) is not None
    wanted = _explained(filters.filter, is_by_meaning=is_by_meaning)
    found = facets_of(session, query=NeuronsQuery(None if only is None else only.id, wanted))
    path = f"/{subject}" if to == "list" and subject else "/search"
    shown = shown_facets(found, filters.fields, path=path, subject=subject, subjects=names)
    return SearchFacets(shown, found.counted, address_of(filters.fields, subject, path=path))


@router.get("/search/random", include_in_schema=False)
def search_random(
    session: DbSession, settings: AppSettings, filters: ListFilters, subject: SubjectField = ""
) -> Response:
    """Redirect to a random neuron that the search finds. Raises NotFound where it finds none."""
    names = subject_names(session)
    only = one_of(names, subject) if subject else None
    request, meaning = _with_meaning(session, settings, filters, None)
    query = _query(only, request, meaning)
    found = None if query is None or _hint(session, request) else random_match(session, query=query)
    if found is None:
        raise NotFound("No explanation matches. Use fewer words, the beginning of one with *, or another subject.")
    slug = next(each.slug for each in names if each.id == found.subject_id)
    address = _address(slug, found.layer, found.index, request.fields)
    return RedirectResponse(address, status_code=303, headers={"Cache-Control": "no-store"})


@router.post("/search/meaning", include_in_schema=False)
def search_meaning(
    session: DbSession, settings: AppSettings, viewer: MayTry, form: Annotated[MeaningForm, Form()]
) -> Response:
    """Let a worker embed a text, unless that was done before, and lead to what is near to it. Raises NotFound."""
    source = required_source(settings)
    if form.subject:
        named_subject(session, slug=form.subject)
    text = plain_text(form.meaning, what="search", limit=LONGEST_SEARCH)
    fields = replace(kept_filters(form.filters).fields, meaning=text, sort=BY_MEANING)
    asked = None
    if not text or nearness(session, source=source, text=text) is None:
        asked = str(enqueue_query(session, source=source, text=text, account_id=viewer.id).id)
    return RedirectResponse(address_of(fields, form.subject, asked=asked), status_code=303)


def address_of(fields: FilterFields, subject: str, *, path: str = "/search", **changes: str | None) -> str:
    """URL of a search with these fields, or of a subject's own list, if that suffices."""
    pairs = fields.pairs(**changes)
    if subject and path.startswith("/search"):
        pairs.append(("subject", subject))
    return f"{path}?{urlencode(pairs, safe='@/')}" if pairs else path


def _ranked(request: ListRequest) -> ListRequest:
    """The request, sorted by relevance if it has words and no order was chosen."""
    if request.fields.sort or not request.filter.words:
        return request
    return read_filters(replace(request.fields, sort=BY_RELEVANCE))


def _with_meaning(
    session: Session, settings: Settings, request: ListRequest, asked: int | None
) -> tuple[ListRequest, FoundMeaning | None]:
    """The request in the order that it can have, and what was found of its meaning; None where that is hidden."""
    source = embedding_source(settings)
    if source is None:
        return _ranked(request.without_meaning()), None
    found = find_meaning(session, source=source, request=request, task_id=asked)
    if found.near is not None and request.fields.sort in ("", BY_MEANING):
        return read_filters(replace(request.fields, sort=BY_MEANING)), found
    if request.sort.key is SortKey.MEANING:
        request = read_filters(replace(request.fields, sort=""))
    return _ranked(request), found


def _query(only: SubjectName | None, request: ListRequest, meaning: FoundMeaning | None) -> NeuronsQuery | None:
    """What is searched; None where there are neither words nor a token nor a meaning."""
    near = None if meaning is None else meaning.near
    if not (request.filter.words or request.filter.token or near):
        return None
    wanted = _explained(request.filter, is_by_meaning=near is not None)
    return NeuronsQuery(None if only is None else only.id, wanted, request.sort, near)


def _explained(wanted: NeuronFilter, *, is_by_meaning: bool) -> NeuronFilter:
    """The same; by meaning, of neurons with an explanation, which the others have none of."""
    return replace(wanted, state=NeuronState.EXPLAINED) if is_by_meaning and wanted.state is None else wanted


def _orders(fields: FilterFields) -> dict[str, str]:
    """The orders to choose from, the usual one first."""
    if not fields.meaning:
        return ORDERS
    others = {name: label for name, label in ORDERS.items() if name != BY_RELEVANCE or fields.words}
    return {BY_MEANING: SORT_LABELS[BY_MEANING], **others}


def _row(subject: SubjectName, row: NeuronRow, fields: FilterFields) -> FoundRow:
    return FoundRow(subject, _address(subject.slug, row.layer, row.index, fields), row)


def _address(slug: str, layer: int, index: int, fields: FilterFields) -> str:
    """Of a neuron's page that knows the list of what was found in its subject."""
    return f"/{slug}/{layer}/{index}{fields.trail}"


def _chips(fields: FilterFields, subject: str) -> tuple[FilterChip, ...]:
    tail = f"&subject={subject}" if subject else ""
    own = tuple(replace(chip, query=f"{chip.query or '?'}{tail}".replace("?&", "?")) for chip in fields.chips())
    return own if not subject else (*own, FilterChip(f"only {subject}", fields.query() or "?"))


def _hint(session: Session, request: ListRequest) -> str | None:
    words = request.filter.words
    reason = None if words is None else why_unsearchable(session, words=words)
    return None if reason is None else HINTS[reason]
