"""The valid verdicts, which no later row undoes, and the right verdicts on controls."""

from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, select
from sqlalchemy.orm import aliased

from app.domain.review import Verdict
from app.models import ReviewControl, ReviewItem, ReviewVerdict

# Built once at import: an alias costs more than the query.
_UNDOING, _REPEATED = aliased(ReviewVerdict), aliased(ReviewItem)


def stands(verdict: Any = ReviewVerdict) -> ColumnElement[bool]:
    """Condition that ``verdict``, the table or an alias, is a judgement that was not undone."""
    return and_(verdict.kind.is_not(None), ~exists().where(_UNDOING.undoes_id == verdict.id))


def truth_of() -> ColumnElement[str]:
    """The right verdict on a control: for a repeat the present outcome of the repeated item, otherwise the stored one.

    An item is settled again if a verdict was undone or another one was requested. While it has no outcome, or nobody
    could decide, the stored verdict counts.
    """
    outcome = select(_REPEATED.outcome).where(_REPEATED.id == ReviewControl.repeats_item_id).scalar_subquery()
    return func.coalesce(func.nullif(outcome, Verdict.CANNOT_TELL), ReviewControl.truth)
