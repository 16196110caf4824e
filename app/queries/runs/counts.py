"""How many runs of each status there are, without counting them: see ``app.models.RunCount``."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Select, func, literal, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.domain.work import WorkStatus
from app.models import RunCount

_SUMS = {status: func.sum(RunCount.__table__.c[status]) for status in WorkStatus}


def status_sums() -> dict[WorkStatus, ColumnElement[int]]:
    """The sums over rows of ``run_count``: the number of runs with each status."""
    return {status: func.coalesce(total, literal(0)) for status, total in _SUMS.items()}


def batch_counts(session: Session, *, batch_ids: Sequence[int]) -> dict[int, dict[WorkStatus, int]]:
    """The number of runs of each status in each of these batches. One query."""
    counts = {batch_id: dict.fromkeys(WorkStatus, 0) for batch_id in batch_ids}
    sums = _summed(RunCount.batch_id).where(RunCount.batch_id == func.any(list(batch_ids))).group_by(RunCount.batch_id)
    for batch_id, *numbers in session.execute(sums):
        counts[batch_id] = dict(zip(WorkStatus, numbers, strict=True))
    return counts


def total_counts(session: Session) -> dict[WorkStatus, int]:
    """The number of runs of each status in all batches together. One query."""
    return dict(zip(WorkStatus, session.execute(_summed()).one(), strict=True))


def _summed(*keys: InstrumentedAttribute[int]) -> Select[*tuple[int, ...]]:
    return select(*keys, *status_sums().values()).select_from(RunCount)
