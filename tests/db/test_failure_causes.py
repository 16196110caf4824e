"""Why runs of a batch failed, counted from errors that workers stored."""

import pytest
from sqlalchemy.orm import Session

from app.domain.failures import Cause
from app.models import Run
from app.queries.runs.progress import failure_causes
from app.work.enqueue import enqueue_batch, retry_run
from app.work.lease import fail, finish
from tests.db.leased import Queue, Runs
from tests.factories import Make

SILENT = "The neuron never fires on this corpus."
REFUSED = "The provider answered with HTTP 401: the key is wrong."


@pytest.fixture
def runs(session: Session, make: Make) -> Runs:
    """Two runs in a batch."""
    return Runs(session, make)


def batch_of(runs: Queue, *, n: int) -> int:
    """Another ``n`` runs in a batch of their own; its id."""
    method = runs.make.method("other")
    neurons = [runs.make.neuron(runs.subject, layer=1, index=i) for i in range(n)]
    return enqueue_batch(
        runs.session,
        subject_id=runs.subject.id,
        neuron_ids=[neuron.id for neuron in neurons],
        method_id=method.id,
        account_id=None,
    ).batch_id


def end_all(runs: Runs, *errors: str | None) -> list[Run]:
    """Workers end the waiting runs, the first ones with these errors; None is a success."""
    ended = []
    for error in errors:
        lease = runs.held()
        assert finish(runs.session, lease=lease) if error is None else fail(runs.session, lease=lease, error=error)
        row = runs.row(lease)
        assert isinstance(row, Run)
        ended.append(row)
    return ended


def counted(session: Session, batch_id: int, newest: int = 100) -> list[tuple[Cause, int, str]]:
    found = failure_causes(session, batch_id=batch_id, newest=newest)
    return [(each.cause, each.number, each.example) for each in found]


def test_the_most_frequent_cause_of_a_batch_comes_first(session: Session, runs: Runs) -> None:
    other = end_all(runs, REFUSED, None)
    batch_id = batch_of(runs, n=4)
    end_all(runs, REFUSED, SILENT, SILENT, None)
    assert counted(session, batch_id) == [(Cause.NEVER_FIRES, 2, SILENT), (Cause.LANGUAGE_MODEL, 1, REFUSED)]
    assert counted(session, other[0].batch_id) == [(Cause.LANGUAGE_MODEL, 1, REFUSED)]


def test_a_run_whose_worker_died_too_often_counts_as_crashed(session: Session, runs: Runs) -> None:
    lease = runs.held()
    runs.expire(lease)
    assert runs.reap(max_deaths=1) == (0, 1)
    row = runs.row(lease)
    assert isinstance(row, Run)
    assert [(cause, n) for cause, n, _ in counted(session, row.batch_id)] == [(Cause.CRASHED, 1)]


def test_a_run_that_is_retried_is_no_failure_any_more(session: Session, runs: Runs) -> None:
    first, _ = end_all(runs, SILENT, SILENT)
    retry_run(session, run_id=first.id, account_id=None)
    assert [(cause, n) for cause, n, _ in counted(session, first.batch_id)] == [(Cause.NEVER_FIRES, 1)]


def test_only_the_newest_failures_are_counted(session: Session, runs: Runs) -> None:
    first, _ = end_all(runs, SILENT, REFUSED)
    assert len(counted(session, first.batch_id)) == 2
    assert len(counted(session, first.batch_id, newest=1)) == 1
