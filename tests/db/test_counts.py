"""The maintained counts of runs are those that counting finds, whatever statement changes runs."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from app.domain.work import WorkStatus
from app.models import Batch, Run, RunCount
from app.queries.common.counting import compact_counts
from app.queries.runs.counts import total_counts
from app.queries.runs.progress import batch_summary
from tests.factories import Make

N_NEURONS = 12


class Counted:
    """Two batches whose runs a test changes as it likes."""

    def __init__(self, session: Session, make: Make) -> None:
        self.session = session
        subject, methods = make.subject(), [make.method(version=version) for version in (1, 2)]
        self.neuron_ids = [make.neuron(subject, index=index).id for index in range(N_NEURONS)]
        self.batches = [Batch(subject_id=subject.id, method_id=m.id, n_runs=0) for m in methods]
        session.add_all(self.batches)
        session.flush()

    def queue(self, batch: Batch) -> None:
        self.session.execute(
            text("INSERT INTO run (batch_id, neuron_id, method_id) SELECT :batch, n, :method FROM unnest(:ids) AS n"),
            {"batch": batch.id, "method": batch.method_id, "ids": self.neuron_ids},
        )

    def assert_right(self) -> None:
        ids = [batch.id for batch in self.batches]
        truth = {batch_id: dict.fromkeys(WorkStatus, 0) for batch_id in ids}
        counted = select(Run.batch_id, Run.status, func.count()).group_by(Run.batch_id, Run.status)
        for batch_id, status, n in self.session.execute(counted):
            truth[batch_id][WorkStatus(status)] = n
        assert {i: batch_summary(self.session, batch_id=i).counts for i in ids} == truth
        total = total_counts(self.session)
        assert total == {status: sum(counts[status] for counts in truth.values()) for status in WorkStatus}


@pytest.fixture
def counted(session: Session, make: Make) -> Counted:
    return Counted(session, make)


def test_nothing_is_counted_where_there_is_nothing(counted: Counted) -> None:
    counted.assert_right()


def change_some(counted: Counted, chance: random.Random) -> None:
    """Any change of several runs of both batches to different statuses in one statement."""
    counted.session.execute(
        text("UPDATE run SET status = (CAST(:words AS text[]))[1 + (id * :factor) % 6] WHERE id % 3 = :rest"),
        {"words": list(WorkStatus), "factor": chance.randrange(1, 50), "rest": chance.randrange(3)},
    )


def delete_some(counted: Counted, chance: random.Random) -> None:
    counted.session.execute(delete(Run).where(Run.id % 7 == chance.randrange(7)))


def touch_all(counted: Counted, chance: random.Random) -> None:
    counted.session.execute(text("UPDATE run SET progress = 0.5"))


def compact(counted: Counted, chance: random.Random) -> None:
    compact_counts(counted.session)


@pytest.mark.parametrize("seed", range(5))
def test_counts_follow_every_statement(counted: Counted, seed: int) -> None:
    chance = random.Random(seed)
    changes: list[Callable[[Counted, random.Random], None]] = [change_some, delete_some, touch_all, compact]
    for batch in counted.batches:
        counted.queue(batch)
        counted.assert_right()
    for _ in range(20):
        chance.choice(changes)(counted, chance)
        counted.assert_right()


def test_a_compacted_batch_has_one_row_and_a_report_adds_none(counted: Counted) -> None:
    counted.queue(counted.batches[0])
    counted.session.execute(
        text("UPDATE run SET status = 'running' WHERE neuron_id = :id"), {"id": counted.neuron_ids[0]}
    )
    rows = select(func.count()).select_from(RunCount)
    assert counted.session.scalar(rows) == 2
    compact_counts(counted.session)
    touch_all(counted, random.Random(0))
    assert counted.session.scalar(rows) == 1
    counted.assert_right()


def test_the_seconds_of_runs_that_succeeded_are_added_up(counted: Counted) -> None:
    counted.queue(counted.batches[0])
    start = datetime.now(UTC)
    for status, seconds in ((WorkStatus.SUCCEEDED, 2), (WorkStatus.FAILED, 50), (WorkStatus.SUCCEEDED, 3)):
        run = counted.session.scalars(select(Run).where(Run.status == WorkStatus.QUEUED).limit(1)).one()
        run.status, run.started_at, run.finished_at = status, start, start + timedelta(seconds=seconds)
        counted.session.flush()
    assert counted.session.scalar(select(func.sum(RunCount.seconds))) == 5
    counted.session.execute(text("UPDATE run SET status = 'cancelled' WHERE status = 'succeeded'"))
    assert counted.session.scalar(select(func.sum(RunCount.seconds))) == 0
