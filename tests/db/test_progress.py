import itertools
import uuid
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.domain.authors import AuthorKind
from app.domain.results import ExplanationResult, ScoreResult
from app.domain.verdict_lines import NOT_SCORED, ONLY_2023, Tone, VerdictLine
from app.domain.work import WorkStatus
from app.errors import Invalid, NotFound
from app.models import Batch, Pause, Run, Subject, Worker
from app.queries.common.paging import Page
from app.queries.explanations.store import Author, add_results, store_candidates
from app.queries.runs.progress import (
    BatchState,
    batch_summary,
    batches_page,
    run_detail,
    runs_page,
    worker_count,
)
from app.queries.runs.results import RunResult
from tests.factories import Make, Row
from tests.queries import kept_statements, rows_read

NO_TABLE = VerdictLine((ONLY_2023, "no token table to compare with"), Tone.OPEN)
UNSCORED = VerdictLine((NOT_SCORED,), Tone.OPEN)


class Queue:
    """Batches for tests, with runs of the wanted statuses."""

    def __init__(self, session: Session, make: Make) -> None:
        self.session, self.make = session, make
        self.subject: Subject = make.subject()
        self.method = make.method()
        self.alice = make.account()
        self._indices = itertools.count()

    def batch(self, *statuses: WorkStatus) -> Batch:
        batch = self.add(
            Batch(subject_id=self.subject.id, method_id=self.method.id, account_id=self.alice.id, n_runs=len(statuses))
        )
        for status in statuses:
            self.run(batch, status)
        return batch

    def run(self, batch: Batch, status: WorkStatus, **values: object) -> Run:
        neuron = self.make.neuron(self.subject, index=next(self._indices))
        return self.add(Run(batch_id=batch.id, neuron_id=neuron.id, method_id=self.method.id, status=status, **values))

    def add(self, row: Row) -> Row:
        self.session.add(row)
        self.session.flush()
        return row


@pytest.fixture
def queue(session: Session, make: Make) -> Queue:
    return Queue(session, make)


QUEUED, RUNNING, SUCCEEDED, FAILED = WorkStatus.QUEUED, WorkStatus.RUNNING, WorkStatus.SUCCEEDED, WorkStatus.FAILED


@pytest.mark.parametrize(
    ("statuses", "state", "n_ended"),
    [
        ((QUEUED, QUEUED), BatchState.WAITING, 0),
        ((QUEUED, RUNNING), BatchState.RUNNING, 0),
        ((QUEUED, SUCCEEDED), BatchState.RUNNING, 1),
        ((FAILED, SUCCEEDED, WorkStatus.CANCELLED, WorkStatus.QUARANTINED), BatchState.ENDED, 4),
    ],
)
def test_a_batch_knows_what_it_is_at(
    session: Session, queue: Queue, statuses: Iterable[WorkStatus], state: BatchState, n_ended: int
) -> None:
    summary = batch_summary(session, batch_id=queue.batch(*statuses).id)
    assert (summary.state, summary.n_ended, summary.n_runs) == (state, n_ended, sum(summary.counts.values()))
    assert (summary.subject, summary.method, summary.by) == ("tiny", "lexical v1", "alice")


@pytest.mark.parametrize("size", [1, 2, 5])
def test_batches_page_newest_first_in_both_directions(session: Session, queue: Queue, size: int) -> None:
    ids = [queue.batch(QUEUED).id for _ in range(5)]
    pages = [batches_page(session, size=size)]
    while pages[-1].next is not None:
        pages.append(batches_page(session, size=size, after=pages[-1].next))
    assert [row.id for page in pages for row in page.rows] == ids[::-1]
    for earlier, later in itertools.pairwise(pages):
        assert batches_page(session, size=size, before=later.previous).rows == earlier.rows


def test_runs_of_a_batch_are_filtered_by_status(session: Session, queue: Queue) -> None:
    batch = queue.batch(QUEUED, FAILED, QUEUED, FAILED)
    queue.batch(FAILED)
    everything = runs_page(session, batch_id=batch.id, size=9).rows
    failed = runs_page(session, batch_id=batch.id, size=9, listed=FAILED).rows
    assert [row.status for row in everything] == [FAILED, QUEUED, FAILED, QUEUED]
    assert failed == (everything[0], everything[2])
    assert runs_page(session, batch_id=batch.id, size=1, listed=FAILED).next == str(failed[0].id)


def scored(text: str, value: float, simulator: str = "lexical") -> ExplanationResult:
    score = ScoreResult("correlation", "top_and_random", value, 10, 0, simulator=simulator)
    return ExplanationResult(text, scores=(score, replace(score, sample="random", value=0.99)))


def author_of(run: Run) -> Author:
    return Author(AuthorKind.METHOD, "lexical", run.method_id, run.id)


def test_a_succeeded_run_shows_the_candidate_that_its_method_preferred(session: Session, queue: Queue) -> None:
    run = queue.run(queue.batch(), SUCCEEDED)
    results = [scored("preferred", 0.1), scored("lucky", 0.7)]
    store_candidates(session, neuron_id=run.neuron_id, results=results, author=author_of(run))
    (row,) = runs_page(session, batch_id=run.batch_id, size=9).rows
    assert row.result is not None
    assert (row.result.text, row.result.score, row.result.simulator) == ("preferred", 0.1, "lexical")


def test_a_run_keeps_the_score_that_it_measured_itself(session: Session, queue: Queue) -> None:
    run = queue.run(queue.batch(), SUCCEEDED)
    (made,) = store_candidates(session, neuron_id=run.neuron_id, results=[scored("x", 0.3)], author=author_of(run))
    scoring = queue.batch()
    scoring.explanation_id = made
    session.flush()
    again = queue.run(scoring, SUCCEEDED, explanation_id=made)
    add_results(session, explanation_id=made, result=scored("", 0.9, "structured"), author=author_of(again))
    for number, value, simulator in ((run.id, 0.3, "lexical"), (again.id, 0.9, "structured")):
        result = run_detail(session, run_id=number).run.result
        assert result is not None
        assert (result.explanation_id, result.text, result.score, result.simulator) == (made, "x", value, simulator)
        assert result.headline is not None
        assert (result.headline.score.value, result.line) == (value, NO_TABLE)


def test_a_run_without_a_score_still_shows_its_text(session: Session, queue: Queue) -> None:
    run = queue.run(queue.batch(), SUCCEEDED)
    result = ExplanationResult("unscored")
    (made,) = store_candidates(session, neuron_id=run.neuron_id, results=[result], author=author_of(run))
    assert run_detail(session, run_id=run.id).run.result == RunResult(
        made, "unscored", None, None, None, UNSCORED, None
    )


def test_a_run_tells_who_holds_it(session: Session, queue: Queue) -> None:
    worker = queue.add(Worker(id=uuid.uuid4(), host="box", pid=7, device="cpu"))
    run = queue.run(queue.batch(), RUNNING, worker_id=worker.id, lease_until=datetime.now(UTC))
    detail = run_detail(session, run_id=run.id)
    assert detail.lease is not None
    assert (detail.lease.worker, detail.lease.device, detail.lease.until) == ("box, process 7", "cpu", run.lease_until)
    assert (detail.run.status, detail.method, detail.by) == (RUNNING, "lexical v1", "alice")


def test_only_workers_that_show_themselves_count(session: Session, queue: Queue) -> None:
    now = datetime.now(UTC)
    for seen_at, stopped_at in ((now, None), (now, now), (now - timedelta(minutes=2), None)):
        queue.add(Worker(id=uuid.uuid4(), host="box", pid=7, device="cpu", seen_at=seen_at, stopped_at=stopped_at))
    queue.add(Pause(provider="hosted", reason="the provider is away", until=now + timedelta(minutes=1)))
    queue.add(Pause(provider="other", reason="over", until=now - timedelta(minutes=1)))
    count = worker_count(session)
    assert (count.alive, count.pauses) == (1, ("the provider is away. It resumes by itself.",))


@pytest.mark.parametrize("number", [0, -1, 10**9, 2**63, 10**30])
def test_unknown_ids_are_not_found(session: Session, number: int) -> None:
    with pytest.raises(NotFound):
        batch_summary(session, batch_id=number)
    with pytest.raises(NotFound):
        run_detail(session, run_id=number)


def test_an_empty_queue_has_an_empty_page(session: Session) -> None:
    assert batches_page(session, size=5) == Page(())
    with pytest.raises(Invalid):
        batches_page(session, size=5, after="newest")


@pytest.mark.parametrize("status", [status for status in WorkStatus if status is not WorkStatus.QUEUED])
def test_the_runs_of_one_status_are_found_without_reading_a_large_batch(
    session: Session, queue: Queue, status: WorkStatus
) -> None:
    batch = queue.batch(status)
    session.execute(text("SET LOCAL session_replication_role = replica"))  # these neurons do not exist
    session.execute(
        text(
            "INSERT INTO run (batch_id, neuron_id, method_id)"
            " SELECT :batch, 1000000000 + n, :method FROM generate_series(1, 5000) AS n"
        ),
        {"batch": batch.id, "method": queue.method.id},
    )
    session.execute(text("ANALYZE run"))
    connection = session.connection()
    with kept_statements(connection) as sent:
        runs_page(session, batch_id=batch.id, size=50, listed=status)
    statement, values = next(each for each in sent if "FROM run" in each[0])
    assert rows_read(connection, statement, values) <= 20
