"""Lists of neurons: created and shown, and changed by their creators."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Row, Select, bindparam, delete, func, insert, literal, select, update
from sqlalchemy.orm import Session

from app.domain.bounds import BIGGEST_ID, LONGEST_LIST_NAME, LONGEST_LIST_NOTE, MOST_LISTED
from app.domain.events import EventKind
from app.domain.slugs import named_key
from app.errors import Conflict, Invalid, NotFound
from app.models import Account, ListedNeuron, Neuron, NeuronList, Subject
from app.queries.common.inputs import plain_text
from app.queries.common.prepared import PreparedSelect, rows_of
from app.queries.history.events import record_event
from app.queries.neurons.selection import NeuronSelection

_CHANGED = EventKind.LIST_CHANGED


@dataclass(frozen=True, slots=True)
class ListHead:
    """A list's name and creator, for other pages."""

    id: int
    name: str
    account_id: int
    author: str
    subject_id: int
    slug: str
    subject: str
    n_neurons: int
    created_at: datetime

    @property
    def key(self) -> str:
        """The list's key in URLs."""
        return named_key(self.id, self.name)

    @property
    def address(self) -> str:
        """URL of the page where the list is shown and changed."""
        return f"/lists/{self.id}"

    @property
    def as_filter(self) -> str:
        """URL of the list of neurons filtered by this list, to sort, queue and export them."""
        return f"/{self.slug}?in_list={self.key}&sort=listed"


def lists_of(session: Session, *, slug: str | None = None, neuron_id: int | None = None) -> tuple[ListHead, ...]:
    """All lists, or those of a subject or with a neuron, newest first. One query."""
    found = _heads()
    if slug is not None:
        found = found.where(Subject.slug == slug)
    if neuron_id is not None:
        found = found.where(NeuronList.id.in_(select(ListedNeuron.list_id).where(ListedNeuron.neuron_id == neuron_id)))
    return tuple(_head(row) for row in session.execute(found.order_by(NeuronList.id.desc())))


def list_head(session: Session, *, list_id: int) -> ListHead:
    """A list. Raises NotFound."""
    return one_head(rows_of(session, LIST_HEADS.given(list_id=list_id)) if 0 < list_id <= BIGGEST_ID else ())


def one_head(found: Sequence[ListHead]) -> ListHead:
    """The list found by ``LIST_HEADS``. Raises NotFound."""
    if not found:
        raise NotFound("There is no such list. It may have been deleted.")
    return found[0]


def create_list(session: Session, *, slug: str, name: str, account_id: int) -> int:
    """A new, empty list; returns its id.

    Raises NotFound for the subject, Invalid for the name, Conflict if the account has a list of this name already.
    """
    subject_id = session.scalar(select(Subject.id).where(Subject.slug == slug))
    if subject_id is None:
        raise NotFound("There is no such subject. The first page lists those there are.")
    words = _name(name)
    _refuse_taken(session, account_id, subject_id, words)
    made = NeuronList(subject_id=subject_id, account_id=account_id, name=words)
    session.add(made)
    session.flush()  # for its id
    _record(session, EventKind.LIST_CREATED, made, detail={"name": words})
    return made.id


def add_to_list(session: Session, *, list_id: int, selection: NeuronSelection, account_id: int) -> int:
    """Append neurons to a list, ordered by layer and index; returns the number of neurons that were added.

    Raises NotFound, Conflict if somebody else made the list, Invalid if it would have more than
    ``MOST_LISTED`` or is a list of another subject.
    """
    own = _own(session, list_id, account_id)
    if own.subject_id != selection.subject_id:
        raise Invalid("This is a list of another subject. Choose a list of this one.")
    last = session.scalar(select(func.max(ListedNeuron.position)).where(ListedNeuron.list_id == list_id)) or 0
    listed = select(ListedNeuron.neuron_id).where(ListedNeuron.list_id == list_id)
    new = (
        select(
            literal(list_id),
            Neuron.id,
            literal(last) + func.row_number().over(order_by=(Neuron.layer, Neuron.index)),
        )
        .where(*selection.conditions, Neuron.id.not_in(listed))
        .limit(MOST_LISTED + 1 - last)
    )
    with selection.planned(session):
        made = insert(ListedNeuron).from_select(["list_id", "neuron_id", "position"], new)
        added = len(session.execute(made.returning(ListedNeuron.position)).all())
    if last + added > MOST_LISTED:
        raise Invalid(f"A list holds at most {MOST_LISTED:,} neurons. Narrow the filters, or make another list.")
    _record(session, _CHANGED, own, detail={"added": added})
    return added


def remove_from_list(session: Session, *, list_id: int, neuron_id: int, account_id: int) -> None:
    """Remove a neuron from a list. Raises NotFound, and Conflict if somebody else made the list."""
    own = _own(session, list_id, account_id)
    position = _position(session, list_id, neuron_id)
    session.execute(delete(ListedNeuron).where(_is(list_id, neuron_id)))
    later = (ListedNeuron.list_id == list_id) & (ListedNeuron.position > position)
    session.execute(update(ListedNeuron).where(later).values(position=ListedNeuron.position - 1))
    _record(session, _CHANGED, own, detail={"removed": neuron_id})


def move_in_list(session: Session, *, list_id: int, neuron_id: int, to: int, account_id: int) -> None:
    """Move a neuron to another position, from 1; beyond an end it becomes the first or last.

    Raises NotFound, and Conflict if somebody else made the list.
    """
    own = _own(session, list_id, account_id)
    start = _position(session, list_id, neuron_id)
    last = session.scalar(select(func.max(ListedNeuron.position)).where(ListedNeuron.list_id == list_id)) or 1
    end = min(max(to, 1), last)
    step = -1 if end > start else 1
    low, high = sorted((start, end))
    between = (ListedNeuron.list_id == list_id) & ListedNeuron.position.between(low, high)
    session.execute(update(ListedNeuron).where(between).values(position=ListedNeuron.position + step))
    session.execute(update(ListedNeuron).where(_is(list_id, neuron_id)).values(position=end))
    _record(session, _CHANGED, own, detail={"moved": neuron_id, "before": start, "after": end})


def note_in_list(session: Session, *, list_id: int, neuron_id: int, note: str, account_id: int) -> None:
    """Replace the note of a list's neuron. Raises NotFound, Invalid for an over-long note, Conflict where
    somebody else made the list."""
    own = _own(session, list_id, account_id)
    _position(session, list_id, neuron_id)
    words = plain_text(note, what="note", limit=LONGEST_LIST_NOTE)
    session.execute(update(ListedNeuron).where(_is(list_id, neuron_id)).values(note=words))
    _record(session, _CHANGED, own, detail={"noted": neuron_id})


def rename_list(session: Session, *, list_id: int, name: str, account_id: int) -> None:
    """Give a list another name. Raises NotFound, Invalid for the name, Conflict where one has it
    already or somebody else made the list."""
    own, words = _own(session, list_id, account_id), _name(name)
    if words != own.name:
        _refuse_taken(session, account_id, own.subject_id, words)
    before, own.name = own.name, words
    _record(session, _CHANGED, own, detail={"before": before, "after": words})


def delete_list(session: Session, *, list_id: int, account_id: int) -> None:
    """Delete a list with its notes; its neurons are not deleted.

    Raises NotFound, and Conflict if somebody else made the list.
    """
    own = _own(session, list_id, account_id)
    _record(session, EventKind.LIST_DELETED, own, detail={"name": own.name})
    session.execute(delete(NeuronList).where(NeuronList.id == list_id))


def _heads() -> Select[*tuple[Any, ...]]:
    n = select(func.count()).where(ListedNeuron.list_id == NeuronList.id).scalar_subquery()
    return (
        select(
            NeuronList.id,
            NeuronList.name,
            NeuronList.account_id,
            Account.name.label("author"),
            NeuronList.subject_id,
            Subject.slug,
            Subject.name.label("subject"),
            n.label("n_neurons"),
            NeuronList.created_at,
        )
        .join(Account, Account.id == NeuronList.account_id)
        .join(Subject, Subject.id == NeuronList.subject_id)
    )


LIST_HEADS = PreparedSelect(ListHead, _heads().where(NeuronList.id == bindparam("list_id", type_=BigInteger)))
"""The list of this id."""


def _head(row: Row[Any]) -> ListHead:
    return ListHead(**row._mapping)


def _own(session: Session, list_id: int, account_id: int) -> NeuronList:
    """The list, locked, so that two changes at once keep positions without gaps. Raises NotFound, Conflict."""
    own = session.get(NeuronList, list_id, with_for_update=True) if 0 < list_id <= BIGGEST_ID else None
    if own is None:
        raise NotFound("There is no such list. It may have been deleted.")
    if own.account_id != account_id:
        raise Conflict("Only who made a list may change it. Add its neurons to a list of your own.")
    return own


def _position(session: Session, list_id: int, neuron_id: int) -> int:
    position = session.scalar(select(ListedNeuron.position).where(_is(list_id, neuron_id)))
    if position is None:
        raise NotFound("The list does not have this neuron any more. Open the list again.")
    return position


def _is(list_id: int, neuron_id: int) -> ColumnElement[bool]:
    return (ListedNeuron.list_id == list_id) & (ListedNeuron.neuron_id == neuron_id)


def _name(name: str) -> str:
    words = plain_text(name, what="name", limit=LONGEST_LIST_NAME)
    if not words:
        raise Invalid("A list needs a name. Write one.")
    return words


def _refuse_taken(session: Session, account_id: int, subject_id: int, name: str) -> None:
    same = (NeuronList.account_id == account_id, NeuronList.subject_id == subject_id, NeuronList.name == name)
    if session.scalar(select(NeuronList.id).where(*same)) is not None:
        raise Conflict(f"You have a list named {name} already. Add to it, or choose another name.")


def _record(session: Session, kind: EventKind, own: NeuronList, *, detail: dict[str, Any]) -> None:
    record_event(
        session,
        kind=kind,
        account_id=own.account_id,
        subject_id=own.subject_id,
        detail={"list_id": own.id, **detail},
    )
