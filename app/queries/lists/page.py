"""The data around a list of a subject's neurons, whatever is listed."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.queries.common.prepared import one_statement
from app.queries.lists.kept import LIST_HEADS, ListHead, one_head
from app.queries.lists.searches import OWN_SEARCHES, KeptSearch
from app.queries.methods.definitions import NEWEST_METHODS, NewestMethod, offered
from app.queries.subjects.lookup import SUBJECT_HEADS, SubjectHead, one_subject


@dataclass(frozen=True, slots=True)
class ListFrame:
    """The subject, the list of neurons that was requested, and the viewer's choices."""

    subject: SubjectHead
    listed: ListHead | None
    searches: tuple[KeptSearch, ...]
    """Saved searches of the viewer."""
    methods: tuple[NewestMethod, ...]
    """Methods that may be queued; empty unless requested."""


def list_frame(
    session: Session, *, slug: str, list_id: int | None, account_id: int | None, with_methods: bool
) -> ListFrame:
    """The data around the list. One query. Raises NotFound for the subject and for the list of neurons."""
    with one_statement(session) as asked:
        subjects = asked.send(SUBJECT_HEADS.given(slug=slug))
        lists = None if list_id is None else asked.send(LIST_HEADS.given(list_id=list_id))
        searches = None if account_id is None else asked.send(OWN_SEARCHES.given(account_id=account_id))
        methods = asked.send(NEWEST_METHODS.given()) if with_methods else None
    return ListFrame(
        subject=one_subject(subjects.rows),
        listed=None if lists is None else one_head(lists.rows),
        searches=() if searches is None else tuple(searches.rows),
        methods=() if methods is None else tuple(offered(methods.rows)),
    )
