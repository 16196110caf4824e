"""A few pieces of leased work on each table, with short names for what a worker and a person do."""

import uuid

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.domain.work import Lane, TaskKind
from app.models import Event, Run, Task
from app.work.begin import Taker, begin_run, begin_task
from app.work.enqueue import cancel_run, enqueue_batch, retry_run
from app.work.lease import Lease, reap_expired
from app.work.tasks import cancel_task, enqueue_task, retry_task
from tests.factories import Make

HOUR = 3600.0
PRETEND = TaskKind("pretend", "A task of these tests", Lane.BACKGROUND)


class Queue:
    """Two pieces of work that are queued, and short names for what a worker does."""

    kind: str

    def __init__(self, session: Session, make: Make) -> None:
        self.session, self.make = session, make
        self.subject = make.subject()

    def begin(self) -> Lease | None:
        raise NotImplementedError

    def cancel(self, lease: Lease) -> None:
        raise NotImplementedError

    def retry(self, lease: Lease) -> None:
        raise NotImplementedError

    def held(self) -> Lease:
        lease = self.begin()
        assert lease is not None
        return lease

    def row(self, lease: Lease) -> Run | Task:
        self.session.expire_all()
        if lease.table == "run":
            return self.session.get_one(Run, lease.id)
        return self.session.get_one(Task, lease.id)

    def expire(self, lease: Lease) -> None:
        """Let a lease run out, on a server that was started long before."""
        statement = f"UPDATE {lease.table} SET lease_until = now() - interval '1 second' WHERE id = :id"
        self.session.execute(text(statement), {"id": lease.id})

    def reap(self, max_deaths: int = 3) -> tuple[int, int]:
        reaped = reap_expired(self.session, lease_seconds=0, max_deaths=max_deaths)
        return reaped.n_requeued, reaped.n_quarantined

    def events(self) -> list[str]:
        """The history's lines about what happened to the work after it was queued."""
        kinds = self.session.scalars(select(Event.kind).where(Event.kind.like(f"{self.kind}.%")).order_by(Event.id))
        return [kind for kind in kinds if kind != "task.queued"]

    @property
    def taker(self) -> Taker:
        return Taker(uuid.uuid4(), uuid.uuid4(), HOUR)


class Runs(Queue):
    kind = "run"

    def __init__(self, session: Session, make: Make) -> None:
        super().__init__(session, make)
        self.method = make.method()
        neurons = [make.neuron(self.subject, index=i) for i in range(2)]
        enqueue_batch(
            session,
            subject_id=self.subject.id,
            neuron_ids=[n.id for n in neurons],
            method_id=self.method.id,
            account_id=None,
        )

    def begin(self) -> Lease | None:
        return begin_run(self.session, taker=self.taker)

    def cancel(self, lease: Lease) -> None:
        cancel_run(self.session, run_id=lease.id, account_id=None)

    def retry(self, lease: Lease) -> None:
        retry_run(self.session, run_id=lease.id, account_id=None)


class Tasks(Queue):
    kind = "task"

    def __init__(self, session: Session, make: Make) -> None:
        super().__init__(session, make)
        for title in ("first", "second"):
            self.enqueue(title)

    def enqueue(self, title: str, unique_key: str | None = None) -> int:
        return enqueue_task(
            self.session,
            kind=PRETEND,
            title=title,
            account_id=None,
            subject_id=self.subject.id,
            unique_key=unique_key,
        ).id

    def begin(self) -> Lease | None:
        return begin_task(self.session, taker=self.taker, lane=Lane.BACKGROUND, kinds=["pretend"])

    def cancel(self, lease: Lease) -> None:
        cancel_task(self.session, task_id=lease.id, account_id=None)

    def retry(self, lease: Lease) -> None:
        retry_task(self.session, task_id=lease.id, account_id=None)
