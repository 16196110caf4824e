"""Saved searches."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from sqlalchemy import BigInteger, Select, bindparam, delete, select
from sqlalchemy.orm import Session

from app.domain.bounds import BIGGEST_ID, LONGEST_ADDRESS, LONGEST_LIST_NAME
from app.domain.events import EventKind
from app.domain.slugs import named_key
from app.errors import Conflict, Invalid, NotFound
from app.models import Account, SavedSearch
from app.queries.common.inputs import plain_text
from app.queries.common.prepared import PreparedSelect, rows_of
from app.queries.history.events import record_event


@dataclass(frozen=True, slots=True)
class KeptSearch:
    """A saved search."""

    id: int
    name: str
    account_id: int
    author: str
    leads_to: str
    """The path and query string of the search."""

    @property
    def words(self) -> str:
        """The conditions in words, such as "words: import, layer: 3"; the path if there are none."""
        path, _, query = self.leads_to.partition("?")
        pairs = [f"{name.replace('_', ' ')}: {value}" for name, value in parse_qsl(query)]
        return ", ".join(pairs) or path

    @property
    def address(self) -> str:
        """The URL by which the search is shared; it contains the name."""
        return f"/searches/{named_key(self.id, self.name)}"


def searches_of(session: Session, *, account_id: int | None) -> tuple[KeptSearch, ...]:
    """The searches that a person, or anybody, has saved, by name."""
    if account_id is not None:
        return tuple(rows_of(session, OWN_SEARCHES.given(account_id=account_id)))
    return tuple(KeptSearch(**row._mapping) for row in session.execute(_by_name()))


def saved_search(session: Session, *, search_id: int) -> KeptSearch:
    """A saved search. Raises NotFound."""
    row = session.execute(_searches().where(SavedSearch.id == search_id)).first() if search_id <= BIGGEST_ID else None
    if row is None:
        raise NotFound("There is no such saved search. It may have been deleted.")
    return KeptSearch(**row._mapping)


def save_search(session: Session, *, account_id: int, name: str, address: str) -> int:
    """Save an address under a name; returns the search's id.

    The caller must have checked that it is a path of this site. Raises Invalid for the name or an over-long address,
    Conflict if the person has a search of this name already.
    """
    words = plain_text(name, what="name", limit=LONGEST_LIST_NAME)
    if not words:
        raise Invalid("A search needs a name. Write one.")
    same = select(SavedSearch.id).where(SavedSearch.account_id == account_id, SavedSearch.name == words)
    if session.scalar(same) is not None:
        raise Conflict(f"You have a search named {words} already. Choose another name.")
    kept = SavedSearch(
        account_id=account_id, name=words, address=plain_text(address, what="address", limit=LONGEST_ADDRESS)
    )
    session.add(kept)
    session.flush()  # for its id
    detail = {"search_id": kept.id, "name": words}
    record_event(session, kind=EventKind.SEARCH_SAVED, account_id=account_id, detail=detail)
    return kept.id


def delete_search(session: Session, *, search_id: int, account_id: int) -> None:
    """Delete a saved search. Raises NotFound, Conflict if somebody else saved it."""
    found = saved_search(session, search_id=search_id)
    if found.account_id != account_id:
        raise Conflict("Only who saved a search may delete it.")
    session.execute(delete(SavedSearch).where(SavedSearch.id == search_id))
    detail = {"search_id": search_id, "name": found.name}
    record_event(session, kind=EventKind.SEARCH_DELETED, account_id=account_id, detail=detail)


def _searches() -> Select[*tuple[Any, ...]]:
    return select(
        SavedSearch.id,
        SavedSearch.name,
        SavedSearch.account_id,
        Account.name.label("author"),
        SavedSearch.address.label("leads_to"),
    ).join(Account, Account.id == SavedSearch.account_id)


def _by_name() -> Select[*tuple[Any, ...]]:
    return _searches().order_by(SavedSearch.name, SavedSearch.id)


OWN_SEARCHES = PreparedSelect(
    KeptSearch, _by_name().where(SavedSearch.account_id == bindparam("account_id", type_=BigInteger))
)
"""Saved searches of one account, by name."""
