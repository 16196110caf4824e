"""The number of runs of each status, from stored sums: see ``app.models.RunCount``."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, literal_column, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.selectable import LateralFromClause

from app.domain.work import WorkStatus
from app.models import Batch, RunCount
from app.queries.common.prepared import PreparedSelect

_SUMS = {status: func.sum(RunCount.__table__.c[status]) for status in WorkStatus}


def status_sums() -> dict[WorkStatus, ColumnElement[int]]:
    """The sums over rows of ``run_count``: the number of runs with each status."""
    return {status: func.coalesce(total, literal_column("0")) for status, total in _SUMS.items()}


def counted_runs() -> LateralFromClause:
    """The number of runs of each status in the enclosing statement's batch, as an object by status."""
    sums = [total.label(status) for status, total in status_sums().items()]
    return select(*sums).where(RunCount.batch_id == Batch.id).correlate(Batch).lateral("counted_runs")


@dataclass(frozen=True, slots=True)
class ActiveCount:
    """The number of queued and of running runs."""

    queued: int
    running: int


_SUMMED = status_sums()
ACTIVE_RUNS = PreparedSelect(
    ActiveCount,
    select(_SUMMED[WorkStatus.QUEUED].label("queued"), _SUMMED[WorkStatus.RUNNING].label("running")).select_from(
        RunCount
    ),
)
"""The numbers over all batches."""


def total_counts(session: Session) -> dict[WorkStatus, int]:
    """The number of runs of each status over all batches. One query."""
    sums = session.execute(select(*status_sums().values()).select_from(RunCount)).one()
    return dict(zip(WorkStatus, sums, strict=True))
