"""Imports and exports as tasks of the common queue, and imported neurons in the hands of people and methods."""

import json
import uuid
from pathlib import Path
from threading import Event as Signal

import pytest
from sqlalchemy import select

from app.db import Sessions, transaction
from app.domain.imports import DataFormat
from app.domain.work import EXPORT, IMPORT, RUN, Lane
from app.formats.own.jsonl import JsonlReader
from app.models import DataImport, Explanation, Neuron, Score, Subject, Task
from app.queries.imports.state import import_row
from app.queries.methods.definitions import ensure_builtin_methods, newest_method
from app.settings import Settings
from app.transfer.exporting import ExportRequest
from app.transfer.folders import exports_folder
from app.transfer.importing import ImportRequest
from app.transfer.sources import Location
from app.transfer.tasks import enqueue_export, enqueue_import
from app.work.enqueue import enqueue_batch, enqueue_scoring
from app.work.lease import TaskLease
from app.work.tasks import cancel_task, retry_task
from tests.openai_files import simulation_results, write_data_set, write_json
from tests.unit.formats.reading import read_path
from worker.run.held import Done, Handler, HeldWork
from worker.run.loop import WorkerContext, WorkLoop
from worker.run.runs import RunHandler, build_work
from worker.run.transfers import ExportHandler, ImportHandler
from worker.run.vocabularies import Vocabularies


class Bench:
    """A data set on disk, and a worker's slots."""

    def __init__(self, sessions: Sessions, folder: Path) -> None:
        self.sessions, self.folder = sessions, folder
        self.settings = Settings(data_dir=folder / "data", progress_seconds=0, retry_seconds=0, max_attempts=1)
        self.cancels_after: int | None = None

    def queue(self, slug: str = "gpt2") -> int:
        location = Location(str(self.folder / "published"))
        with transaction(self.sessions) as session:
            request = ImportRequest(slug, name="GPT-2")
            return enqueue_import(session, location=location, request=request, account_id=None).id

    def work(self, lane: Lane = Lane.BACKGROUND) -> bool:
        importing = ImportHandler(self.sessions)

        def watched(held: HeldWork[TaskLease]) -> Done:
            report, n_reports = held.report, 0

            def noted(stage: str, progress: float) -> None:
                nonlocal n_reports
                n_reports += 1
                if n_reports == self.cancels_after:
                    with transaction(self.sessions) as session:
                        cancel_task(session, task_id=held.lease.id, account_id=None)
                report(stage, progress)

            held.report = noted  # type: ignore[method-assign]  # noted on its way
            return importing(held)

        handlers: dict[str, Handler] = {
            IMPORT.name: watched,
            EXPORT.name: ExportHandler(self.sessions, self.settings),
            RUN: RunHandler(self.sessions, build_work),
        }
        context = WorkerContext(self.settings, self.sessions, handlers, uuid.uuid4(), Signal(), Signal())
        return WorkLoop(context, lane).run_one()

    def task(self) -> Task:
        with self.sessions() as session:
            return session.scalars(select(Task).order_by(Task.id.desc())).first() or pytest.fail("no task")


@pytest.fixture
def bench(fresh_sessions: Sessions, tmp_path: Path) -> Bench:
    return Bench(fresh_sessions, tmp_path)


def test_a_worker_imports_what_was_queued_once(bench: Bench) -> None:
    write_data_set(bench.folder / "published")
    assert bench.queue() == bench.queue()
    assert bench.work()
    task = bench.task()
    assert (task.status, task.progress) == ("succeeded", 1)
    assert task.result is not None
    assert (task.result["new_neurons"], task.result["problems"]) == (6, 0)
    with bench.sessions() as session:
        row = import_row(session, import_id=task.result["import_id"])
        assert session.scalars(select(Subject.name)).one() == "GPT-2"
    assert row is not None
    assert row.is_shown


def test_an_import_that_is_cancelled_goes_on_when_it_is_retried(bench: Bench) -> None:
    write_data_set(bench.folder / "published", layers=3, neurons=110)
    task_id = bench.queue()
    bench.cancels_after = 3
    assert bench.work()
    assert bench.task().status == "cancelled"
    with bench.sessions() as session:
        stopped = session.scalars(select(DataImport)).one()
        assert (stopped.status, stopped.error, stopped.counts["neurons"]) == ("failed", "It was stopped.", 400)
        assert session.scalars(select(Subject.collection_id)).one() is None
    bench.cancels_after = None
    with transaction(bench.sessions) as session:
        retry_task(session, task_id=task_id, account_id=None)
    assert bench.work()
    task = bench.task()
    assert task.status == "succeeded"
    assert task.result is not None
    assert (task.result["new_neurons"], task.result["new_explanations"]) == (330, 330)
    with bench.sessions() as session:
        assert session.scalars(select(DataImport.status)).one() == "complete"


def test_a_source_that_has_gone_fails_the_task_with_its_reason(bench: Bench) -> None:
    folder = write_data_set(bench.folder / "published", layers=1, neurons=1)
    bench.queue()
    folder.rename(bench.folder / "moved")
    assert bench.work()
    task = bench.task()
    assert task.status == "failed"
    assert "published" in str(task.error)


def test_a_worker_exports_to_a_file(bench: Bench) -> None:
    write_data_set(bench.folder / "published", layers=1)
    bench.queue()
    assert bench.work()
    with transaction(bench.sessions) as session:
        enqueue_export(session, request=ExportRequest("gpt2", DataFormat.JSONL), account_id=None)
    assert bench.work()
    task = bench.task()
    assert (task.status, task.result is not None) == ("succeeded", True)
    assert task.result is not None
    path = exports_folder(bench.settings) / task.result["file"]
    assert task.result["neurons"] == 3
    assert len(read_path(JsonlReader(), path).records) == 3


def test_imported_neurons_are_explained_and_their_texts_scored_by_a_method(bench: Bench) -> None:
    folder = write_data_set(bench.folder / "published", layers=1, neurons=2)
    write_json(folder / "explanations/0/0.jsonl", simulation_results(0, 0, (' fires on " import"',)))
    bench.queue()
    assert bench.work()
    with transaction(bench.sessions) as session:
        ensure_builtin_methods(session)
        subject = session.scalars(select(Subject)).one()
        neurons = session.scalars(select(Neuron).order_by(Neuron.id)).all()
        imported = session.scalars(select(Explanation).order_by(Explanation.id)).first()
        assert imported is not None
        method_id = newest_method(session, name="lexical").id
        enqueue_batch(session, subject_id=subject.id, neuron_ids=[neurons[1].id], method_id=method_id, account_id=None)
        enqueue_scoring(session, explanation_id=imported.id, method_id=method_id, account_id=None)
    assert bench.work(Lane.RUNS)
    assert bench.work(Lane.RUNS)
    with bench.sessions() as session:
        texts = session.execute(
            select(Neuron.index, Explanation.author_kind, Explanation.text)
            .join(Neuron, Neuron.id == Explanation.neuron_id)
            .order_by(Explanation.id)
        ).all()
        assert [(index, kind) for index, kind, _ in texts] == [(0, "import"), (1, "import"), (1, "method")]
        assert '" import"' in texts[2].text
        ours = session.execute(
            select(Score.scorer, Score.simulator).where(Score.explanation_id == imported.id, Score.run_id.is_not(None))
        ).all()
        assert ("correlation", "lexical") in [tuple(row) for row in ours]
        assert session.scalars(select(Score).where(Score.explanation_id == imported.id, Score.simulator == "published"))


def test_a_worker_reads_a_vocabulary_again_that_an_import_has_made_longer(bench: Bench) -> None:
    write_data_set(bench.folder / "published", layers=1, neurons=1)
    bench.queue()
    assert bench.work()
    with bench.sessions() as session:
        tokenizer_id = session.scalars(select(Subject.tokenizer_id)).one()
        known = Vocabularies()
        first = known.get(session, tokenizer_id=tokenizer_id)
        assert known.get(session, tokenizer_id=tokenizer_id, biggest_token=len(first) - 1) is first
    folder = bench.folder / "published/collated-activations/0"
    record = json.loads((folder / "0.json").read_text())
    record["random_sample"][0]["tokens"][0] = " never seen"
    (folder / "1.json").write_text(json.dumps(record))
    bench.queue()
    assert bench.work()
    with bench.sessions() as session:
        assert known.get(session, tokenizer_id=tokenizer_id, biggest_token=len(first)).tokens[-1] == b" never seen"
