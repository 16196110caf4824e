"""Lists of neurons and saved searches: made, read, changed."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends, Form, Path, Query
from fastapi.responses import RedirectResponse, Response

from app.domain.bounds import (
    BIGGEST_ID,
    LONGEST_ADDRESS,
    LONGEST_FIELD,
    LONGEST_FILTERS,
    LONGEST_LIST_NAME,
    LONGEST_LIST_NOTE,
)
from app.domain.roles import Permission
from app.domain.slugs import parse_named_key
from app.errors import Invalid, NotFound
from app.formats.tables import TableFormat
from app.queries.lists.entries import ListEntry
from app.queries.lists.kept import (
    ListHead,
    add_to_list,
    create_list,
    delete_list,
    list_head,
    lists_of,
    move_in_list,
    note_in_list,
    remove_from_list,
    rename_list,
)
from app.queries.lists.searches import KeptSearch, delete_search, save_search, saved_search, searches_of
from app.queries.neurons.filters import ListReference, NeuronFilter
from app.queries.neurons.listing import NeuronsQuery, neurons_page
from app.queries.neurons.order import NeuronSort, SortKey
from app.queries.neurons.rows import NeuronRow
from app.queries.neurons.selection import count_selected
from app.queries.people.accounts import Viewer
from app.queries.subjects.lookup import SubjectHead, subject_head
from app.web.deps import AppSettings, CurrentViewer, DbSession, IdInPath, allowed_to
from app.web.http.routing import PageRouter
from app.web.listing.filters import AS_LISTED, FilterFields, kept_filters
from app.web.listing.selection import Selection, asked_selection
from app.web.rendering.addresses import local_path
from app.web.rendering.templating import CurrentView, page

router = PageRouter()

IN_ORDER = NeuronSort(SortKey.LISTED, descending=False)

MayKeep = Annotated[Viewer, Depends(allowed_to(Permission.KEEP_LISTS), scope="function")]
Name = Annotated[str, Form(max_length=LONGEST_LIST_NAME)]


@dataclass(frozen=True, slots=True)
class ListsPage:
    """All lists and saved searches; those of the viewer first."""

    own_lists: tuple[ListHead, ...]
    lists: tuple[ListHead, ...]
    """Other people's lists."""
    own_searches: tuple[KeptSearch, ...]
    searches: tuple[KeptSearch, ...]
    """Other people's searches."""


@dataclass(frozen=True, slots=True)
class ListedRow:
    """A neuron of a list."""

    position: int
    note: str
    address: str
    """Of its page, which knows the list."""
    neuron: NeuronRow


@dataclass(frozen=True, slots=True)
class ListPage:
    """A list of neurons, a page at a time."""

    list: ListHead
    is_own: bool
    """Whether the viewer has made it, and may change it."""
    rows: tuple[ListedRow, ...]
    previous: str | None
    next: str | None
    files: dict[TableFormat, str]
    """The whole list as a file, by format."""


@dataclass(frozen=True, slots=True)
class AddPage:
    """Chosen neurons, to be added to a list."""

    subject: SubjectHead
    back: str
    neuron_ids: tuple[int, ...]
    filters: str
    n_neurons: int
    lists: tuple[ListHead, ...]
    """The viewer's own, of this subject."""


@page(router, "/lists", template="lists/page.html", is_kept=True)
def lists(session: DbSession, viewer: CurrentViewer) -> ListsPage:
    """Lists of neurons and saved searches."""
    found, searches = lists_of(session), searches_of(session, account_id=None)
    own = None if viewer is None else viewer.id
    return ListsPage(
        own_lists=tuple(each for each in found if each.account_id == own),
        lists=tuple(each for each in found if each.account_id != own),
        own_searches=tuple(each for each in searches if each.account_id == own),
        searches=tuple(each for each in searches if each.account_id != own),
    )


@page(router, "/lists/{list_id}", template="lists/list.html", partial="lists/_list.html", is_kept=True)
def one_list(
    session: DbSession,
    settings: AppSettings,
    viewer: CurrentViewer,
    list_id: IdInPath,
    after: str | None = None,
    before: str | None = None,
) -> ListPage:
    """A list in its own order, with its notes."""
    head = list_head(session, list_id=list_id)
    query = NeuronsQuery(head.subject_id, NeuronFilter(in_list=ListReference(head.id, "")), IN_ORDER)
    found = neurons_page(session, query=query, size=settings.page_size, after=after or None, before=before or None)
    fields = FilterFields(in_list=head.key, sort=AS_LISTED)
    return ListPage(
        list=head,
        is_own=viewer is not None and viewer.id == head.account_id and viewer.may(Permission.KEEP_LISTS),
        rows=tuple(_row(head, fields, row, row.entry) for row in found.rows if row.entry is not None),
        previous=None if found.previous is None else f"{head.address}?before={found.previous}",
        next=None if found.next is None else f"{head.address}?after={found.next}",
        files={each: f"/{head.slug}/neurons.{each}{fields.query()}" for each in TableFormat},
    )


def _row(head: ListHead, fields: FilterFields, row: NeuronRow, entry: ListEntry) -> ListedRow:
    address = f"/{head.slug}/{row.layer}/{row.index}{fields.trail}"
    return ListedRow(position=entry.position, note=entry.note, address=address, neuron=row)


@page(router, "/{slug}/lists", template="lists/add.html", is_kept=True)
def choose_list(
    session: DbSession,
    viewer: MayKeep,
    slug: str,
    selection: Annotated[Selection, Depends(asked_selection)],
    method: Annotated[str, Query(max_length=LONGEST_FIELD, description="Of the list's form; not used here.")] = "",
) -> AddPage:
    """How many neurons are chosen, and the lists that they may be added to."""
    head = subject_head(session, slug=slug)
    filters = selection.request.fields.query().removeprefix("?")
    return AddPage(
        subject=head,
        back=f"/{slug}?{filters}" if filters else f"/{slug}",
        neuron_ids=tuple(sorted(set(selection.neuron_ids))),
        filters=filters,
        n_neurons=count_selected(session, selection=selection.of(head)),
        lists=tuple(each for each in lists_of(session, slug=slug) if each.account_id == viewer.id),
    )


@router.post("/{slug}/lists", include_in_schema=False)
def add(  # noqa: PLR0913 - FastAPI reads a route's inputs from its arguments
    session: DbSession,
    view: CurrentView,
    viewer: MayKeep,
    slug: str,
    *,
    list_id: Annotated[str, Form(max_length=LONGEST_FIELD)] = "",
    name: Name = "",
    filters: Annotated[str, Form(max_length=LONGEST_FILTERS)] = "",
    neuron: Annotated[list[int] | None, Form()] = None,
) -> Response:
    """Add the chosen neurons to a list, or to a new one of this name."""
    head = subject_head(session, slug=slug)
    selection = Selection(tuple(neuron or ()), kept_filters(filters)).of(head)
    if list_id and not list_id.isdecimal():
        raise Invalid("There is no such list. Choose one of yours, or write the name of a new one.")
    chosen = int(list_id) if list_id else create_list(session, slug=slug, name=name, account_id=viewer.id)
    added = add_to_list(session, list_id=chosen, selection=selection, account_id=viewer.id)
    told = f"Added {added:,} neurons." if added != 1 else "Added one neuron."
    return view.moved(f"/lists/{chosen}", told=told)


@router.post("/lists/{list_id}/neurons/{neuron_id}", include_in_schema=False)
def change_entry(  # noqa: PLR0913 - FastAPI reads a route's inputs from its arguments
    session: DbSession,
    view: CurrentView,
    viewer: MayKeep,
    list_id: IdInPath,
    neuron_id: IdInPath,
    *,
    act: Annotated[Literal["note", "move", "remove"], Form()],
    note: Annotated[str, Form(max_length=LONGEST_LIST_NOTE)] = "",
    to: Annotated[int, Form(ge=-BIGGEST_ID, le=BIGGEST_ID)] = 1,
    back: Annotated[str, Form(max_length=LONGEST_ADDRESS)] = "",
) -> Response:
    """Replace a neuron's note, give it another position, or take it out."""
    own = {"list_id": list_id, "neuron_id": neuron_id, "account_id": viewer.id}
    match act:
        case "note":
            note_in_list(session, note=note, **own)
            told = "Note saved."
        case "move":
            move_in_list(session, to=to, **own)
            told = "Moved."
        case "remove":
            remove_from_list(session, **own)
            told = "Removed from the list."
    return view.moved(local_path(back) if back else f"/lists/{list_id}", told=told)


@router.post("/lists/{list_id}/name", include_in_schema=False)
def rename(session: DbSession, view: CurrentView, viewer: MayKeep, list_id: IdInPath, name: Name) -> Response:
    """Give a list another name."""
    rename_list(session, list_id=list_id, name=name, account_id=viewer.id)
    return view.moved(f"/lists/{list_id}", told="Renamed.")


@router.post("/lists/{list_id}/delete", include_in_schema=False)
def delete(session: DbSession, view: CurrentView, viewer: MayKeep, list_id: IdInPath) -> Response:
    """Delete a list."""
    delete_list(session, list_id=list_id, account_id=viewer.id)
    return view.moved("/lists", told="List deleted. Its neurons are as they were.")


@router.post("/searches", include_in_schema=False)
def save(
    session: DbSession,
    view: CurrentView,
    viewer: MayKeep,
    name: Name,
    address: Annotated[str, Form(max_length=LONGEST_ADDRESS)],
) -> Response:
    """Save a search or a filtered list under a name."""
    path = local_path(address)
    save_search(session, account_id=viewer.id, name=name, address=path)
    return view.moved(path, told=f"Saved as “{name.strip()}”. Your lists and searches are under Lists.")


@router.post("/searches/{search_id}/delete", include_in_schema=False)
def delete_saved(session: DbSession, view: CurrentView, viewer: MayKeep, search_id: IdInPath) -> Response:
    """Delete a saved search."""
    delete_search(session, search_id=search_id, account_id=viewer.id)
    return view.moved("/lists", told="Search deleted.")


@router.get("/searches/{key}", include_in_schema=False)
def open_search(session: DbSession, key: Annotated[str, Path(max_length=LONGEST_ADDRESS)]) -> Response:
    """Redirect to a saved search. Raises NotFound."""
    found = parse_named_key(key)
    if found is None:
        raise NotFound("There is no such saved search.")
    return RedirectResponse(saved_search(session, search_id=found[0]).leads_to, status_code=303)
