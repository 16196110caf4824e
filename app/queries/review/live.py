"""What holds now: verdicts that no later row undoes, and the truth of controls."""

from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, select
from sqlalchemy.orm import aliased

from app.domain.review import Verdict
from app.models import ReviewControl, ReviewItem, ReviewVerdict

# Made once: an alias costs more than the query.
_UNDOING, _REPEATED = aliased(ReviewVerdict), aliased(ReviewItem)


def stands(verdict: Any = ReviewVerdict) -> ColumnElement[bool]:
    """The condition that ``verdict``, the table or an alias of it, is a judgement that was not undone."""
    return and_(verdict.kind.is_not(None), ~exists().where(_UNDOING.undoes_id == verdict.id))


def truth_of() -> ColumnElement[str]:
    """The right verdict on a control: of a repeat the outcome that the repeated item has now, else what was stored.

    An item is settled anew where a verdict was undone or another look was asked for. While it has no outcome, or nobody
    could decide, the stored one holds.
    """
    outcome = select(_REPEATED.outcome).where(_REPEATED.id == ReviewControl.repeats_item_id).scalar_subquery()
    return func.coalesce(func.nullif(outcome, Verdict.CANNOT_TELL), ReviewControl.truth)
