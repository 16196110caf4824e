"""The list that a neuron's page was opened from: its neighbours there, its position, and the way back.

The list is a part of the page's address, so that it works without scripts and can be shared.
"""

from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Depends, Query
from sqlalchemy.orm import Session

from app.domain.bounds import LONGEST_FILTERS
from app.queries.neurons.head import NeuronHead
from app.queries.neurons.matches import Matches
from app.queries.neurons.position import Neighbour, position_in_list
from app.queries.neurons.titles import filter_title
from app.settings import Settings
from app.web.listing.filters import EVERYTHING, ListRequest, kept_filters
from app.web.listing.meaning import neurons_query
from app.web.neuron.address import neighbour_path, path_of


@dataclass(frozen=True, slots=True)
class Trail:
    """Where a neuron stands in the list that it was opened from, or among all neurons by their position."""

    query: str
    """The query string of URLs within the same list, with a question mark; empty without a list."""
    back: str
    """URL of the list; if the neuron is not on the first page, of the page that begins at it."""
    title: str
    """The list in words."""
    previous: str | None
    next: str | None
    position: int | None = None
    """The position from 1; None if not known or the neuron is no longer in the list."""
    matches: Matches | None = None


async def asked_list(
    listed: Annotated[
        str, Query(alias="list", max_length=LONGEST_FILTERS, description="The filters of the list it was opened from")
    ] = "",
) -> ListRequest | None:
    """The list that the address names; None where it names none. Raises Invalid."""
    if not listed:
        return None
    return kept_filters("" if listed == EVERYTHING else listed)


AskedList = Annotated[ListRequest | None, Depends(asked_list)]


FLAGGING = "flagging=true"
"""The query string of URLs while somebody goes from neuron to neuron and flags."""


def going_on(address: str, *, flagging: bool) -> str:
    """An address that stays in the way of working."""
    if not flagging or FLAGGING in address:
        return address
    return f"{address}{'&' if '?' in address else '?'}{FLAGGING}"


def trail_of(
    session: Session, head: NeuronHead, asked: ListRequest | None, *, settings: Settings, flagging: bool = False
) -> Trail:
    """The neighbours of a neuron in the list that was asked for, or else by position."""
    found = _by_position(head) if asked is None else _in_list(session, head, asked, settings)
    previous, following = (
        None if address is None else going_on(address, flagging=flagging) for address in (found.previous, found.next)
    )
    return replace(found, previous=previous, next=following)


def _by_position(head: NeuronHead) -> Trail:
    back = f"/{head.slug}?layer={head.layer}&sort=position"
    return Trail("", back, f"layer {head.layer}", neighbour_path(head, -1), neighbour_path(head, 1))


def _in_list(session: Session, head: NeuronHead, asked: ListRequest, settings: Settings) -> Trail:
    query = neurons_query(session, settings=settings, subject_id=head.subject_id, request=asked)
    found = position_in_list(session, query=query, neuron_id=head.id, values=head.sorted_by)
    return Trail(
        query=asked.fields.trail,
        back=_back(head, asked, found.previous, found.before.number, settings.page_size),
        title=filter_title(asked.filter),
        previous=_address(head, asked, found.previous),
        next=_address(head, asked, found.next),
        position=found.before.number + 1 if found.is_listed and found.before.exact else None,
        matches=found.matches,
    )


def path_in_list(head: NeuronHead, asked: ListRequest | None) -> str:
    """The neuron's page, in the list that it was opened from."""
    return f"{path_of(head)}{'' if asked is None else asked.fields.trail}"


def _back(head: NeuronHead, asked: ListRequest, previous: Neighbour | None, n_before: int, page_size: int) -> str:
    after = previous.cursor if previous is not None and n_before >= page_size else None
    return f"/{head.slug}{asked.fields.query(after=after)}"


def _address(head: NeuronHead, asked: ListRequest, neighbour: Neighbour | None) -> str | None:
    if neighbour is None:
        return None
    return f"/{head.slug}/{neighbour.layer}/{neighbour.index}{asked.fields.trail}"
