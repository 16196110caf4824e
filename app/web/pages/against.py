"""Two subjects side by side: which explanations carry over, and how far their scores differ."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated

from fastapi import Query

from app.errors import Invalid
from app.queries.subjects.against import SubjectsCompared, subjects_compared
from app.queries.subjects.cofiring_pairs import CofiringCompared, subjects_by_cofiring
from app.queries.subjects.lookup import SubjectHead, SubjectName, subject_head, subject_names
from app.web.deps import DbSession
from app.web.http.routing import PageRouter
from app.web.rendering.templating import page

router = PageRouter()


class MatchedBy(StrEnum):
    """Which neurons of two subjects are put beside each other."""

    ADDRESS = "address"
    COFIRING = "cofiring"

    @property
    def label(self) -> str:
        """The words that the page shows."""
        return {MatchedBy.ADDRESS: "the same layer and index", MatchedBy.COFIRING: "nearest by co-firing"}[self]


@dataclass(frozen=True, slots=True)
class AgainstPage:
    """A subject compared with ``second``, or the subjects it can be compared with while ``second`` is None."""

    first: SubjectHead
    second: SubjectHead | None
    by: MatchedBy
    found: SubjectsCompared | None
    """Neurons matched by address; None where that was not asked for."""
    cofiring: CofiringCompared | None
    """Neurons matched by co-firing; None where that was not asked for."""
    others: tuple[SubjectName, ...]

    @property
    def ways(self) -> tuple[MatchedBy, ...]:
        """Both ways of matching."""
        return tuple(MatchedBy)


@page(router, "/{slug}/against", template="subject/against.html", is_kept=True)
def against(
    session: DbSession,
    slug: str,
    other: str = "",
    by: Annotated[MatchedBy, Query(description="Which neurons are put beside each other")] = MatchedBy.ADDRESS,
) -> AgainstPage:
    """The neurons of two subjects at the same addresses, or those that fire most alike on the same text."""
    names = {each.slug: each for each in subject_names(session)}
    first = subject_head(session, slug=slug)
    first = replace(first, name=names[slug].name)
    others = tuple(each for each in names.values() if each.slug != slug)
    if not other:
        return AgainstPage(first, None, by, None, None, others)
    if other == slug:
        raise Invalid("Choose another subject: this one is the same.")
    second = subject_head(session, slug=other)
    second = replace(second, name=names[other].name)
    if by is MatchedBy.COFIRING:
        matched = subjects_by_cofiring(session, first=first.id, second=second.id)
        return AgainstPage(first, second, by, None, matched, others)
    return AgainstPage(first, second, by, subjects_compared(session, first=first.id, second=second.id), None, others)
