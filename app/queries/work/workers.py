"""Worker processes as they report themselves."""

import uuid
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.domain.work import WORKER_SILENT_SECONDS
from app.models import Worker
from app.queries.common.prepared import PreparedSelect


@dataclass(frozen=True, slots=True)
class LeaseShown:
    """The worker that has or last had a piece of work, and the end of its lease."""

    worker: str
    device: str
    seen_at: datetime
    until: datetime | None


def lease_shown(worker: Worker | None, until: datetime | None) -> LeaseShown | None:
    """A lease as pages show it; None if no worker has had the work."""
    if worker is None:
        return None
    return LeaseShown(f"{worker.host}, process {worker.pid}", worker.device, worker.seen_at, until)


def is_alive() -> ColumnElement[bool]:
    """Condition that a worker has reported recently and has not stopped."""
    return and_(Worker.stopped_at.is_(None), Worker.seen_at > func.now() - timedelta(seconds=WORKER_SILENT_SECONDS))


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker that has reported recently."""

    host: str
    pid: int
    device: str
    doing: str
    n_finished: int
    started_at: datetime


WORKERS_ALIVE = PreparedSelect(
    WorkerSeen,
    select(Worker.host, Worker.pid, Worker.device, Worker.doing, Worker.n_finished, Worker.started_at)
    .where(is_alive())
    .order_by(Worker.host, Worker.pid),
)


def register_worker(session: Session, *, worker_id: uuid.UUID, host: str, pid: int, device: str) -> None:
    """A worker that has just started."""
    row = insert(Worker).values(id=worker_id, host=host, pid=pid, device=device)
    session.execute(row.on_conflict_do_nothing())  # updated after a commit of unknown outcome


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """A worker's report about itself. ``device`` is the device of its models."""

    doing: str
    n_finished: int
    """Finished runs and tasks."""
    device: str


def see_worker(session: Session, *, worker_id: uuid.UUID, report: WorkerReport) -> None:
    """Record that a worker is alive, and what it reports about itself."""
    session.execute(update(Worker).where(Worker.id == worker_id).values(seen_at=func.now(), **asdict(report)))


def stop_worker(session: Session, *, worker_id: uuid.UUID, n_finished: int) -> None:
    """Record that a worker has stopped regularly."""
    session.execute(
        update(Worker)
        .where(Worker.id == worker_id)
        .values(seen_at=func.now(), stopped_at=func.now(), doing="stopped", n_finished=n_finished)
    )


def delete_old_workers(session: Session, *, hours: int) -> None:
    """Delete the rows of workers that have not reported for ``hours``."""
    session.execute(delete(Worker).where(Worker.seen_at < func.now() - func.make_interval(0, 0, 0, 0, hours)))
