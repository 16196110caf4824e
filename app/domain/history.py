"""The chain of events: each link's hash covers its event and the hash of the link before.

Editing, removing, adding or reordering an event changes every later hash. Audit reports contain the hash of the newest
link, the head: a chain that was rewritten as a whole no longer contains it.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

NO_HASH = b""
"""The previous hash of the first link."""


@dataclass(frozen=True, slots=True)
class Link:
    """One link as it is stored. ``text`` is its event's canonical text, None where there is no such event any more."""

    position: int
    event_id: int
    hash: bytes
    text: str | None


class Break(StrEnum):
    """What is wrong with a link of the chain."""

    EDITED = "the event or its link was edited, or links were reordered"
    REMOVED = "the event was removed"
    GAP = "links were removed"


@dataclass(frozen=True, slots=True)
class Fault:
    """One broken link: its position and what is wrong with it."""

    position: int
    event_id: int
    what: Break


@dataclass(frozen=True, slots=True)
class Verified:
    """The result of verifying the chain. ``head`` is the newest hash in hexadecimal, empty without links."""

    n_links: int
    head: str
    faults: tuple[Fault, ...]
    holds_expected_head: bool


def link_hash(previous: bytes, text: str) -> bytes:
    """The hash of a link: SHA-256 of the previous hash followed by the event's text in UTF-8."""
    return hashlib.sha256(previous + text.encode()).digest()


def verify(links: Iterable[Link], *, expected_head: str | None = None) -> Verified:
    """Recompute every hash, in the order of the links' positions.

    ``expected_head`` is a head that was written down earlier; it must be among the hashes. A link that does not fit is
    one fault; the walk goes on from its stored hash, so that one edit is one fault.
    """
    previous, position, n_links = NO_HASH, 0, 0
    faults: list[Fault] = []
    is_found = expected_head is None
    for link in links:
        n_links += 1
        if link.position != position + 1:
            faults.append(Fault(link.position, link.event_id, Break.GAP))
        elif link.text is None:
            faults.append(Fault(link.position, link.event_id, Break.REMOVED))
        elif link_hash(previous, link.text) != link.hash:
            faults.append(Fault(link.position, link.event_id, Break.EDITED))
        previous, position = link.hash, link.position
        is_found = is_found or link.hash.hex() == expected_head
    return Verified(n_links, previous.hex(), tuple(faults), is_found)
