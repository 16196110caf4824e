"""A subject's neurons as a list: found, sorted, chosen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlencode

from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from app.domain.doubts import Doubt
from app.domain.neurons import NeuronState
from app.domain.roles import Permission
from app.errors import NotFound
from app.formats.tables import TableFormat
from app.queries.lists.kept import ListHead
from app.queries.lists.page import list_frame
from app.queries.neurons.listing import NeuronsQuery, counted_page
from app.queries.neurons.matches import Matches
from app.queries.neurons.order import NeuronSort, SortKey
from app.queries.neurons.random_match import random_match
from app.queries.neurons.rows import NeuronRow, mixed_columns
from app.queries.neurons.search_words import has_search_words
from app.queries.subjects.lookup import SubjectHead, subject_head
from app.queries.subjects.null_twins import TwinLayer, null_twin_layers
from app.web.deps import AppSettings, CurrentViewer, DbSession
from app.web.http.routing import PageRouter
from app.web.listing.filters import ORDERS_OF, SORT_LABELS, FilterChip, FilterFields, ListRequest
from app.web.listing.meaning import neurons_query
from app.web.listing.sent_filters import ListFilters
from app.web.listing.views import SavedView, saved_views
from app.web.neuron.choices import MethodChoice, choices_of, may_queue
from app.web.rendering.templating import page

router = PageRouter()

COLUMNS = {
    SortKey.POSITION: "Neuron",
    SortKey.HEADLINE: "Whole corpus",
    SortKey.SCORE: "2023 score",
    SortKey.MARGIN: "Over tokens",
    SortKey.TWIN: "Null twin",
    SortKey.FIRING_RATE: "Fires on",
    SortKey.MAX: "Max",
}


ASKED = (Doubt.TOO_BROAD, Doubt.TOO_NARROW, Doubt.BELOW_TABLE, Doubt.NULL_TWIN)


@dataclass(frozen=True, slots=True)
class SortColumn:
    """A heading that sorts."""

    label: str
    address: str
    direction: Literal["ascending", "descending"] | None
    """The direction in which the list is sorted by this column now."""


@dataclass(frozen=True, slots=True)
class SubjectPage:
    """One page of the list."""

    subject: SubjectHead
    address: str
    fields: FilterFields
    matches: Matches
    rows: tuple[NeuronRow, ...]
    simulators: tuple[str, ...]
    """The simulators of the rows shown and of the filter."""
    previous: str | None
    next: str | None
    columns: dict[SortKey, SortColumn]
    states: tuple[NeuronState, ...]
    doubts: tuple[Doubt, ...]
    questions: dict[Doubt, str]
    """The doubts that most people ask about, each with the address that lists what raises it."""
    twin_layers: tuple[TwinLayer, ...]
    """Scores of the same methods on the null twin, by layer; empty without one."""
    orders: dict[str, str]
    methods: tuple[MethodChoice, ...]
    """The methods that the viewer may queue; empty without that permission."""
    trail: str
    """The query string by which links to neurons refer to this list."""
    here: str
    """URL of this page, for use within another one."""
    may_flag: bool
    views: tuple[SavedView, ...]
    hint: str | None
    """The reason for an empty result, if it is not that nothing matches."""
    chips: tuple[FilterChip, ...]
    """Every filter that is set, each with the query string without it."""
    files: dict[TableFormat, str]
    """URLs of all matches as a file, by format."""
    facets: str
    """URL of the facets of the matches."""
    random: str
    """URL of a redirect to a random match."""
    listed: ListHead | None
    """The list of neurons that is shown; None if all neurons of the subject are."""
    may_keep: bool
    """Whether the viewer may add to lists and save searches."""

    @property
    def scores(self) -> tuple[SortKey, ...]:
        """The columns of scores."""
        margin = (SortKey.MARGIN,) if self.subject.has_headlines else ()
        twin = (SortKey.TWIN,) if self.subject.twin is not None else ()
        return (SortKey.HEADLINE, *margin, SortKey.SCORE, *twin)

    @property
    def mixed(self) -> tuple[SortKey, ...]:
        """The columns that show scores of several simulators, which are not comparable."""
        return mixed_columns(self.rows)


@page(router, "/{slug}", template="subject/page.html", partial="subject/_results.html", is_kept=True)
def subject(  # noqa: PLR0913 - FastAPI reads a route's inputs from its arguments
    session: DbSession,
    settings: AppSettings,
    viewer: CurrentViewer,
    slug: str,
    filters: ListFilters,
    *,
    after: str | None = None,
    before: str | None = None,
) -> SubjectPage:
    """A subject's neurons, by filters and in an order."""
    frame = list_frame(
        session,
        slug=slug,
        list_id=None if filters.filter.in_list is None else filters.filter.in_list.id,
        account_id=None if viewer is None else viewer.id,
        with_methods=may_queue(viewer),
    )
    head = frame.subject
    filters = filters.of_subject(has_headlines=head.has_headlines)
    query = neurons_query(session, settings=settings, subject_id=head.id, request=filters)
    matches, found = counted_page(
        session, query=query, size=settings.page_size, after=after or None, before=before or None
    )
    fields, address = filters.fields, f"/{head.slug}"
    return SubjectPage(
        subject=head,
        address=address,
        fields=fields,
        matches=matches,
        rows=found.rows,
        simulators=_simulators(found.rows, filters),
        previous=f"{address}{fields.query(before=found.previous)}" if found.previous is not None else None,
        next=f"{address}{fields.query(after=found.next)}" if found.next is not None else None,
        columns={key: _column(key, label, address, filters) for key, label in COLUMNS.items()},
        states=tuple(NeuronState),
        doubts=tuple(Doubt),
        questions={doubt: _doubt_address(doubt, address, filters) for doubt in ASKED},
        twin_layers=_twin_layers(session, head, found.rows),
        orders={
            key: label for key, label in SORT_LABELS.items() if key not in ORDERS_OF or getattr(fields, ORDERS_OF[key])
        },
        methods=choices_of(frame.methods),
        trail=fields.trail,
        here=quote(f"{address}{fields.query(after=after, before=before)}", safe=""),
        may_flag=viewer is not None and viewer.may(Permission.FLAG),
        views=saved_views(address, fields, viewer, frame.searches),
        hint=None if found.rows else _hint(session, head, filters),
        chips=fields.chips(),
        files={each: f"{address}/neurons.{each}{fields.query()}" for each in TableFormat},
        facets=f"/search/facets?{urlencode([*fields.pairs(), ('subject', head.slug), ('to', 'list')], safe='@/')}",
        random=f"{address}/random{fields.query()}",
        listed=frame.listed,
        may_keep=viewer is not None and viewer.may(Permission.KEEP_LISTS),
    )


@router.get("/{slug}/random", include_in_schema=False)
def open_random_match(session: DbSession, slug: str, filters: ListFilters) -> Response:
    """Redirect to a random neuron that matches. Raises NotFound where none does."""
    head = subject_head(session, slug=slug)
    filters = filters.of_subject(has_headlines=head.has_headlines)
    found = random_match(session, query=NeuronsQuery(head.id, filters.filter, filters.sort))
    if found is None:
        raise NotFound("No neuron matches these filters. Change them in the list.")
    address = f"/{slug}/{found.layer}/{found.index}{filters.fields.trail}"
    return RedirectResponse(address, status_code=303, headers={"Cache-Control": "no-store"})


def _column(key: SortKey, label: str, address: str, request: ListRequest) -> SortColumn:
    now: NeuronSort = request.sort
    is_sorted = now.key is key
    descending = not now.descending if is_sorted else key is not SortKey.POSITION
    sort = f"-{key}" if descending else str(key)
    link = f"{address}{request.fields.query(sort=sort)}"
    if not is_sorted:
        return SortColumn(label, link, None)
    return SortColumn(label, link, "descending" if now.descending else "ascending")


def _doubt_address(doubt: Doubt, address: str, request: ListRequest) -> str:
    """The list of those with the doubt; where it is that list already, the list of all."""
    return f"{address}{request.fields.query(doubt=None if request.filter.doubt is doubt else doubt)}"


def _twin_layers(session: Session, subject: SubjectHead, rows: Sequence[NeuronRow]) -> tuple[TwinLayer, ...]:
    """The null twin's layers, with scores of the kind and simulator of the first row that has a headline."""
    kinds = ((row.headline_kind, row.simulator) for row in rows if row.headline is not None)
    kind, simulator = next(kinds, (None, None))
    if subject.twin is None or kind is None:
        return ()
    return null_twin_layers(session, subject_id=subject.id, kind=kind, simulator=simulator)


def _simulators(rows: Sequence[NeuronRow], request: ListRequest) -> tuple[str, ...]:
    shown = (name for row in rows for name in (row.simulator, row.score_simulator))
    return tuple(sorted({name for name in (request.filter.simulator, *shown) if name}))


def _hint(session: Session, subject: SubjectHead, request: ListRequest) -> str | None:
    layer, words = request.filter.layer, request.filter.words
    if layer is not None and layer >= subject.n_layers:
        return f"There is no layer {layer}: {subject.name} has layers 0 to {subject.n_layers - 1}."
    if words is not None and not has_search_words(session, words=words):
        return "The search has only punctuation. Add a word."
    return None
