"""The chain of events and seals: each link's hash covers one of them and the hash of the link before.

Editing, removing, adding or reordering one changes every later hash. A seal contains digests of rows, so that changes
to these are detected too. Audit reports print the hash of the newest link, the head: a chain that was rewritten as a
whole no longer contains that hash.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

NO_HASH = b""
"""The previous hash of the first link."""


@dataclass(frozen=True, slots=True)
class Link:
    """One link as stored. ``text`` is the canonical text of its event or seal, None if that no longer exists."""

    position: int
    subject: str
    """The event or seal, such as ``event 5``."""
    hash: bytes
    text: str | None


class Break(StrEnum):
    """The kinds of faults of a link of the chain."""

    EDITED = "it or its link was edited, or links were reordered"
    REMOVED = "it was removed"
    GAP = "links were removed"


@dataclass(frozen=True, slots=True)
class Fault:
    """One broken link: its position and the kind of fault."""

    position: int
    subject: str
    what: Break


@dataclass(frozen=True, slots=True)
class RowFault:
    """A row that differs from what it was when it was inserted or when its event was recorded."""

    subject: str
    """The row, such as ``score 5``; the parts of a key of several columns are joined by commas."""
    what: str


@dataclass(frozen=True, slots=True)
class Verified:
    """The result of verifying the chain. ``head`` is the newest hash in hexadecimal, empty for an empty chain."""

    n_links: int
    head: str
    faults: tuple[Fault, ...]
    holds_expected_head: bool


def link_hash(previous: bytes, text: str) -> bytes:
    """The hash of a link: SHA-256 of the previous hash followed by the text of its event or seal in UTF-8."""
    return hashlib.sha256(previous + text.encode()).digest()


def verify(links: Iterable[Link], *, expected_head: str | None = None) -> Verified:
    """Recompute every hash, in the order of the links' positions.

    ``expected_head`` is a head that was recorded earlier; it must be among the hashes. A link that does not match is
    one fault, and verification continues from its stored hash, so that one edit is reported once.
    """
    previous, position, n_links = NO_HASH, 0, 0
    faults: list[Fault] = []
    is_found = expected_head is None
    for link in links:
        n_links += 1
        if link.position != position + 1:
            faults.append(Fault(link.position, link.subject, Break.GAP))
        elif link.text is None:
            faults.append(Fault(link.position, link.subject, Break.REMOVED))
        elif link_hash(previous, link.text) != link.hash:
            faults.append(Fault(link.position, link.subject, Break.EDITED))
        previous, position = link.hash, link.position
        is_found = is_found or link.hash.hex() == expected_head
    return Verified(n_links, previous.hex(), tuple(faults), is_found)
