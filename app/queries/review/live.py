"""The valid verdicts: those that no later row undoes."""

from typing import Any

from sqlalchemy import ColumnElement, and_, exists
from sqlalchemy.orm import aliased

from app.models import ReviewVerdict


def stands(verdict: Any = ReviewVerdict) -> ColumnElement[bool]:
    """The condition that ``verdict``, the table or an alias of it, is a judgement that was not undone."""
    undoing = aliased(ReviewVerdict)
    return and_(verdict.kind.is_not(None), ~exists().where(undoing.undoes_id == verdict.id))
