"""Two subjects side by side: which explanations carry over, and how far their scores differ."""

from dataclasses import dataclass

from app.errors import Invalid
from app.queries.subjects.against import SubjectsCompared, subjects_compared
from app.queries.subjects.lookup import SubjectHead, SubjectName, subject_head, subject_names
from app.web.deps import DbSession
from app.web.http.routing import PageRouter
from app.web.rendering.templating import page

router = PageRouter()


@dataclass(frozen=True, slots=True)
class AgainstPage:
    """A subject beside another one; a choice of others where none is chosen."""

    first: SubjectHead
    second: SubjectHead | None
    found: SubjectsCompared | None
    others: tuple[SubjectName, ...]


@page(router, "/{slug}/against", template="subject/against.html")
def against(session: DbSession, slug: str, other: str = "") -> AgainstPage:
    """The neurons of two subjects at the same addresses."""
    first = subject_head(session, slug=slug)
    others = tuple(name for name in subject_names(session) if name.slug != slug)
    if not other:
        return AgainstPage(first, None, None, others)
    if other == slug:
        raise Invalid("Choose another subject: this one is the same.")
    second = subject_head(session, slug=other)
    return AgainstPage(first, second, subjects_compared(session, first=first.id, second=second.id), others)
