"""A collection as a task of the common queue: watched, cancelled, gone on with."""

import uuid
from pathlib import Path
from threading import Event as Signal
from typing import Any

import pytest
from sqlalchemy import func, select

from app.db import Sessions, transaction
from app.domain.collections import CollectionStage
from app.domain.work import COLLECTION, Lane
from app.errors import CollectionError
from app.models import Collection, Neuron, Task
from app.queries.common.prepared import rows_of
from app.queries.subjects.unfinished import UNFINISHED
from app.settings import Settings
from app.work.lease import TaskLease
from app.work.tasks import cancel_task, retry_task
from tests.worker.collecting import some_text
from tests.worker.models import save_model
from worker.collection.command import CollectArguments, enqueue_command
from worker.run.collections import CollectionHandler
from worker.run.held import Done, HeldWork
from worker.run.loop import WorkerContext, WorkLoop
from worker.run.services import WorkerServices

N_NEURONS = 2 * 64


class Bench:
    """A model and a corpus on disk, and a worker's slot that can be disturbed at one of its reports."""

    def __init__(self, sessions: Sessions, folder: Path) -> None:
        self.sessions, self.folder = sessions, folder
        self.model = save_model(folder / "model")
        self.corpus = folder / "corpus.txt"
        self.corpus.write_text("\n".join(text for _, text in some_text(120)))
        self.settings = Settings(data_dir=folder / "data", device="cpu", progress_seconds=0)
        self.stages: list[str] = []
        self.cancels_at: str | None = None

    def queue(self, **arguments: Any) -> int:
        wanted = CollectArguments(slug="tiny", context_length=8, **arguments)
        with transaction(self.sessions) as session:
            return enqueue_command(session, str(self.model), str(self.corpus), wanted).id

    def work(self) -> bool:
        """One piece of work by a worker that has just started."""
        handler = CollectionHandler(WorkerServices(self.settings, self.sessions))

        def watched(held: HeldWork[TaskLease]) -> Done:
            report = held.report

            def noted(stage: str, progress: float) -> None:
                self.stages.append(stage)
                if stage == self.cancels_at:
                    with transaction(self.sessions) as session:
                        cancel_task(session, task_id=held.lease.id, account_id=None)
                report(stage, progress)

            held.report = noted  # type: ignore[method-assign]  # noted on its way
            return handler(held)

        handlers = {COLLECTION.name: watched}
        context = WorkerContext(self.settings, self.sessions, handlers, uuid.uuid4(), Signal(), Signal())
        return WorkLoop(context, Lane.BACKGROUND).run_one()

    def task(self) -> Task:
        with self.sessions() as session:
            return session.scalars(select(Task).where(Task.kind == COLLECTION.name)).one()

    def collections(self) -> list[str]:
        with self.sessions() as session:
            return list(session.scalars(select(Collection.status).order_by(Collection.id)))

    def n_neurons(self) -> int:
        with self.sessions() as session:
            return session.scalars(select(func.count()).select_from(Neuron)).one()


@pytest.fixture
def bench(fresh_sessions: Sessions, tmp_path: Path) -> Bench:
    """Over a database of its own: a collection stores its progress from a thread."""
    return Bench(fresh_sessions, tmp_path)


def test_a_worker_collects_what_was_queued_once(bench: Bench) -> None:
    assert bench.queue() == bench.queue()
    assert bench.work()
    task = bench.task()
    assert (task.status, task.progress) == ("succeeded", 1)
    assert task.result is not None
    assert task.result["is_complete"]
    assert (bench.collections(), bench.n_neurons()) == (["complete"], N_NEURONS)
    assert not bench.work()


@pytest.mark.parametrize(
    "stage", ["loading the model", *(s.label for s in CollectionStage if s is not CollectionStage.CHECK)]
)
def test_a_collection_that_is_cancelled_at_any_stage_is_not_shown_and_goes_on_when_it_is_retried(
    bench: Bench, stage: str
) -> None:
    bench.queue()
    bench.cancels_at = stage
    task_id = bench.task().id
    assert bench.work()
    assert bench.task().status == "cancelled"
    assert (bench.n_neurons(), "complete" in bench.collections()) == (0, False)
    with bench.sessions() as session:
        assert [c.is_alive for c in rows_of(session, UNFINISHED.given())] in ([], [False])
    bench.cancels_at = None
    with transaction(bench.sessions) as session:
        retry_task(session, task_id=task_id, account_id=None)
    assert bench.work()
    assert bench.task().status == "succeeded"
    assert (bench.collections(), bench.n_neurons()) == (["complete"], N_NEURONS)


def test_a_corpus_that_is_not_there_fails_the_task_with_its_reason(bench: Bench) -> None:
    bench.queue()
    bench.corpus.unlink()
    assert bench.work()
    task = bench.task()
    assert task.status == "failed"
    assert "corpus.txt" in str(task.error)
    assert bench.collections() == []


def test_a_queued_collection_cannot_begin_again_from_the_start(bench: Bench) -> None:
    with pytest.raises(CollectionError, match="without --queue"):
        bench.queue(restart=True)
