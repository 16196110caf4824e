import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from threading import Event as Signal

import numpy as np
import psycopg
import pytest
from sqlalchemy import select, text
from sqlalchemy.event import listen
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.db import Sessions
from app.domain.activations import SampleKind, Split
from app.domain.methods import MethodDefinition
from app.domain.results import ExplanationResult, ScoreResult, SimulatedExcerpt, SimulationResult
from app.domain.work import RUN, Lane
from app.errors import MethodError, ProviderError
from app.models import Event, Explanation, Method, Neuron, Pause, Run, Score, Simulation
from app.settings import Settings
from app.work.enqueue import cancel_run, enqueue_batch
from tests.factories import WORDS, Make
from worker.method.contracts import NeuronTask
from worker.method.pipeline import Report
from worker.run.loop import WorkerContext, WorkLoop
from worker.run.runs import RunHandler, Work

RESULT = ExplanationResult(
    text='fires on " import"',
    simulations=(
        SimulationResult(
            "fake",
            SampleKind.TOP,
            Split.VALIDATION,
            (SimulatedExcerpt(1, 2, np.array([0, 10], dtype=np.float32)),),
            unit=0.4,
        ),
    ),
    scores=(ScoreResult("correlation", "top_and_random", 0.5, n_valid=1, n_failed=0, simulator="fake"),),
)


@dataclass
class FakeMethod:
    """Work that a test chooses; remembers what it was given and how often it was built."""

    does: Callable[[NeuronTask, Report], tuple[ExplanationResult, ...]] = lambda task, report: (RESULT,)
    tasks: list[NeuronTask] = field(default_factory=list)
    n_built: int = 0

    def build(self, definition: MethodDefinition) -> Work:
        self.n_built += 1
        return self._work

    def _work(self, task: NeuronTask, report: Report) -> tuple[ExplanationResult, ...]:
        self.tasks.append(task)
        return self.does(task, report)


class Bench:
    """Three neurons of one layer, queued, and one worker loop with a fake method."""

    def __init__(self, session: Session, sessions: Sessions, make: Make) -> None:
        self.session = session
        self.subject = make.subject(neurons_per_layer=3)
        self.neurons = [make.neuron(self.subject, index=i) for i in range(3)]
        for neuron in self.neurons:
            make.sample(neuron, self.subject)
        self.row: Method = make.method()
        self.method = FakeMethod()
        settings = Settings(retry_seconds=0, max_attempts=2, progress_seconds=0)
        handlers = {RUN: RunHandler(sessions, self.method.build)}
        context = WorkerContext(settings, sessions, handlers, uuid.uuid4(), Signal(), Signal())
        self.loop = WorkLoop(context, Lane.RUNS)

    def enqueue(self, *neurons: Neuron) -> None:
        enqueue_batch(
            self.session,
            subject_id=self.subject.id,
            neuron_ids=[n.id for n in neurons or self.neurons],
            method_id=self.row.id,
            account_id=None,
        )
        self.session.commit()

    def work(self) -> int:
        """Work until nothing is queued; returns the number of runs taken."""
        count = 0
        while self.loop.run_one():
            count += 1
        return count

    def runs(self) -> list[Run]:
        self.session.expire_all()
        return list(self.session.scalars(select(Run).order_by(Run.id)))


@pytest.fixture
def bench(session: Session, sessions: Sessions, make: Make) -> Bench:
    return Bench(session, sessions, make)


def test_every_queued_run_ends_with_its_results(bench: Bench) -> None:
    bench.enqueue()
    assert bench.work() == 3
    assert [(r.status, r.executions) for r in bench.runs()] == [("succeeded", 1)] * 3
    explanations = bench.session.scalars(select(Explanation).order_by(Explanation.id)).all()
    assert [e.neuron_id for e in explanations] == [n.id for n in bench.neurons]
    assert {(e.author_kind, e.author, e.method_id) for e in explanations} == {("method", "lexical", bench.row.id)}
    assert len(bench.session.scalars(select(Score)).all()) == 3
    assert {s.collection_id for s in bench.session.scalars(select(Simulation))} == {bench.subject.collection_id}
    assert [n.current_score for n in bench.neurons] == [0.5] * 3


def test_each_success_is_a_line_of_the_history(bench: Bench) -> None:
    bench.enqueue(bench.neurons[0])
    bench.work()
    event = bench.session.scalars(select(Event).where(Event.kind == "run.succeeded")).one()
    assert event.neuron_id == bench.neurons[0].id
    assert event.detail["explanation_ids"] == [bench.session.scalars(select(Explanation.id)).one()]


def test_a_method_is_built_once_for_all_its_runs(bench: Bench) -> None:
    bench.enqueue()
    bench.work()
    assert bench.method.n_built == 1


def test_a_method_is_given_the_records_the_vocabulary_and_a_peer(bench: Bench) -> None:
    bench.enqueue(bench.neurons[0])
    bench.work()
    (task,) = bench.method.tasks
    assert (task.subject, task.layer, task.index) == ("tiny", 0, 0)
    assert task.records.of(SampleKind.TOP)[0].activations.tolist() == [0, 4, 0, 1]
    assert task.vocabulary.tokens == WORDS
    assert task.peer is not None
    assert task.peer.of(SampleKind.TOP)[0].excerpt_id != task.records.of(SampleKind.TOP)[0].excerpt_id


def test_the_same_neuron_gets_the_same_seed_and_peer_again(bench: Bench) -> None:
    for _ in range(2):
        bench.enqueue(bench.neurons[1])
        bench.work()
    first, second = bench.method.tasks
    assert first.seed == second.seed
    assert first.peer is not None
    assert second.peer is not None
    assert first.peer.of(SampleKind.TOP)[0].excerpt_id == second.peer.of(SampleKind.TOP)[0].excerpt_id


def test_a_method_that_compares_with_neighbours_is_given_their_records(bench: Bench, make: Make) -> None:
    for neuron in bench.neurons:
        make.collected(neuron, bench.subject)
    comparing = make.method("comparing")
    comparing.scorers = ["correlation", "neighbours"]
    bench.enqueue(bench.neurons[0])
    bench.row = comparing
    bench.enqueue(bench.neurons[0])
    bench.work()
    plain, asked = bench.method.tasks
    assert plain.neighbours == ()
    own = asked.records.of(SampleKind.TOP)[0].excerpt_id
    near = [records.of(SampleKind.TOP)[0].excerpt_id for records in asked.neighbours]
    assert len(near) == len({own, *near}) - 1 == 2


def test_a_neuron_alone_in_its_layer_has_no_peer(bench: Bench, make: Make) -> None:
    alone = make.neuron(bench.subject, layer=1)
    bench.enqueue(alone)
    bench.work()
    assert bench.method.tasks[0].peer is None


def test_a_method_error_fails_the_run_at_once(bench: Bench) -> None:
    def refuse(task: NeuronTask, report: Report) -> tuple[ExplanationResult, ...]:
        raise MethodError("This neuron never fires.")

    bench.method.does = refuse
    bench.enqueue(bench.neurons[0])
    assert bench.work() == 1
    assert [(r.status, r.error) for r in bench.runs()] == [("failed", "This neuron never fires.")]


def test_a_method_without_a_candidate_has_found_no_explanation(bench: Bench) -> None:
    bench.method.does = lambda task, report: ()
    bench.enqueue(bench.neurons[0])
    bench.work()
    assert [(r.status, r.error) for r in bench.runs()] == [
        ("no_explanation", "No explanation found: the method has named none.")
    ]


def test_an_unexpected_error_is_tried_again_and_ends_in_quarantine(bench: Bench) -> None:
    def crash(task: NeuronTask, report: Report) -> tuple[ExplanationResult, ...]:
        raise ZeroDivisionError("by zero \x00")

    bench.method.does = crash
    bench.enqueue(bench.neurons[0])
    assert bench.work() == 2
    (run,) = bench.runs()
    assert (run.status, run.attempt, run.error) == ("quarantined", 2, "ZeroDivisionError: by zero \u2400")


def test_a_result_that_cannot_be_stored_is_a_failed_attempt_and_leaves_nothing(bench: Bench) -> None:
    bench.method.does = lambda task, report: (RESULT, ExplanationResult(text="NUL \x00"))
    bench.enqueue(bench.neurons[0])
    assert bench.work() == 2
    assert [r.status for r in bench.runs()] == ["quarantined"]
    assert bench.session.scalars(select(Explanation)).all() == []


def test_a_provider_that_is_down_pauses_its_queue_and_counts_no_attempt(bench: Bench) -> None:
    def down(task: NeuronTask, report: Report) -> tuple[ExplanationResult, ...]:
        raise ProviderError("connection refused", permanent=False)

    bench.row.provider = "hosted"
    bench.method.does = down
    bench.enqueue()
    assert bench.work() == 1
    first = bench.runs()[0]
    assert (first.status, first.attempt, first.executions) == ("queued", 0, 1)
    pause = bench.session.get_one(Pause, "hosted")
    assert pause.reason == "connection refused"


def test_a_success_after_the_pause_forgets_it(bench: Bench) -> None:
    bench.row.provider = "hosted"
    bench.session.add(Pause(provider="hosted", reason="down", until=text("now()")))
    bench.enqueue(bench.neurons[0])
    assert bench.work() == 1
    bench.session.expire_all()
    assert bench.session.get(Pause, "hosted") is None


def test_a_permanent_provider_error_fails_the_run(bench: Bench) -> None:
    def wrong_key(task: NeuronTask, report: Report) -> tuple[ExplanationResult, ...]:
        raise ProviderError("401: wrong key", permanent=True)

    bench.method.does = wrong_key
    bench.enqueue(bench.neurons[0])
    bench.work()
    assert [(r.status, r.error) for r in bench.runs()] == [("failed", "401: wrong key")]


def test_reports_are_kept_as_progress(bench: Bench) -> None:
    seen: list[tuple[str, float]] = []

    def work(task: NeuronTask, report: Report) -> tuple[ExplanationResult, ...]:
        report("simulate", 0.25)
        seen.extend((r.stage, r.progress) for r in bench.runs())
        return (RESULT,)

    bench.method.does = work
    bench.enqueue(bench.neurons[0])
    bench.work()
    assert seen == [("simulate", 0.25)]


def test_a_cancelled_run_ends_its_work_at_the_next_report(bench: Bench) -> None:
    def work(task: NeuronTask, report: Report) -> tuple[ExplanationResult, ...]:
        cancel_run(bench.session, run_id=bench.runs()[0].id, account_id=None)
        bench.session.commit()
        report("simulate", 0.5)
        pytest.fail("the work went on")

    bench.method.does = work
    bench.enqueue(bench.neurons[0])
    assert bench.work() == 1
    assert [r.status for r in bench.runs()] == ["cancelled"]
    assert bench.session.scalars(select(Explanation)).all() == []


def test_a_result_under_a_lost_lease_is_dropped(bench: Bench) -> None:
    def work(task: NeuronTask, report: Report) -> tuple[ExplanationResult, ...]:
        bench.session.execute(text("UPDATE run SET lease_token = :token"), {"token": uuid.uuid4()})
        bench.session.commit()
        return (RESULT,)

    bench.method.does = work
    bench.enqueue(bench.neurons[0])
    bench.work()
    assert bench.session.scalars(select(Explanation)).all() == []
    assert bench.loop.n_finished == 0


@pytest.mark.parametrize("lost_answer", [1, 2, 3, 4])
def test_a_commit_whose_answer_was_lost_neither_loses_nor_doubles_a_run(
    bench: Bench, sessions: Sessions, lost_answer: int
) -> None:
    commits = count(1)

    def lose_the_answer(_session: Session) -> None:
        if next(commits) == lost_answer:
            raise OperationalError("COMMIT", {}, psycopg.OperationalError("server closed the connection"))

    bench.enqueue(bench.neurons[0])
    listen(sessions, "after_commit", lose_the_answer)
    assert bench.work() == 1
    assert [(r.status, r.executions, r.deaths) for r in bench.runs()] == [("succeeded", 1, 0)]
    assert len(bench.session.scalars(select(Explanation)).all()) == 1


def test_an_idle_queue_answers_that_there_is_nothing(bench: Bench) -> None:
    assert not bench.loop.run_one()
