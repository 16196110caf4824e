"""What waits and what is running, as the first page counts it."""

import pytest
from sqlalchemy.orm import Session

from app.queries.subjects.overview import current_activity
from app.work.lease import fail, finish
from tests.db.leased import Queue, Runs, Tasks
from tests.factories import Make


def active(session: Session) -> tuple[tuple[int, int], tuple[int, int]]:
    """(queued, running) of runs and of tasks."""
    found = current_activity(session)
    return (found.queue.queued, found.queue.running), (found.tasks.queued, found.tasks.running)


def test_runs_are_counted_while_they_wait_and_while_a_worker_has_them(session: Session, make: Make) -> None:
    runs = Runs(session, make)
    assert active(session) == ((2, 0), (0, 0))
    lease = runs.held()
    assert active(session) == ((1, 1), (0, 0))
    fail(session, lease=lease, error="The neuron never fires.")
    assert active(session) == ((1, 0), (0, 0))
    runs.retry(lease)
    assert active(session) == ((2, 0), (0, 0))


def test_a_run_whose_worker_died_waits_again(session: Session, make: Make) -> None:
    runs = Runs(session, make)
    runs.expire(runs.held())
    assert runs.reap() == (1, 0)
    assert active(session) == ((2, 0), (0, 0))


@pytest.mark.parametrize(("kind", "counted"), [(Runs, ((1, 0), (0, 0))), (Tasks, ((0, 0), (1, 0)))])
def test_cancelled_work_is_not_counted(
    session: Session, make: Make, kind: type[Queue], counted: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    queue = kind(session, make)
    queue.cancel(queue.held())
    assert active(session) == counted


def test_tasks_are_counted_apart_from_runs(session: Session, make: Make) -> None:
    tasks = Tasks(session, make)
    lease = tasks.held()
    assert active(session) == ((0, 0), (1, 1))
    finish(session, lease=lease)
    assert active(session) == ((0, 0), (1, 0))
