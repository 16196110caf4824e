import uuid
from collections.abc import Sequence
from datetime import timedelta
from threading import Event as Signal

import numpy as np
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.db import Sessions
from app.domain.activations import ActivationRecord
from app.domain.arrays import Float32s, Int32s
from app.domain.trials import FiringResult, TrialResult
from app.domain.work import FIRING, TRIAL, WARM_UP, Lane
from app.errors import SubjectError
from app.models import Explanation, Method, Neuron, Task
from app.models import Subject as SubjectRow
from app.settings import Settings
from app.work.tasks import delete_old_tasks
from app.work.trials import enqueue_firing, enqueue_trial, enqueue_warm_up
from tests.factories import Make
from worker.run.held import Handlers
from worker.run.loop import WorkerContext, WorkLoop
from worker.run.subjects import Subjects
from worker.run.trials import ASKS_MODEL, FiringHandler, TrialHandler, WarmUpHandler


class Subject:
    """Every text is " the import"; the neuron fires on the second token with its length."""

    slug = "tiny"
    n_bytes = 1

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int]] = []

    def activations(self, texts: Sequence[str], *, layer: int, index: int) -> tuple[ActivationRecord, ...]:
        self.asked += [(text, layer, index) for text in texts]
        values = [np.array([0, len(text)], dtype=np.float32) for text in texts]
        return tuple(ActivationRecord(-1, np.array([0, 4], dtype=np.int32), v) for v in values)

    def peaks(self, text: str) -> tuple[Int32s, tuple[tuple[Float32s, Int32s], ...]]:
        self.asked.append((text, -1, -1))
        tokens = np.array([0, 1, 0, 1], dtype=np.int32)
        first = np.array([0.5, 0.0, 9.0, 0.1], dtype=np.float32)
        second = np.array([4.0, 3.0, 2.0, -1.0], dtype=np.float32)
        return np.array([0, 4], dtype=np.int32), ((first, tokens), (second, tokens))

    def contexts(self, excerpts: Sequence[Int32s], positions: Sequence[int], *, layer: int) -> Float32s:
        raise NotImplementedError

    def corpus_excerpts(self, n: int, *, seed: int) -> Sequence[Int32s]:
        raise NotImplementedError

    def excerpt_activations(self, excerpts: Sequence[Int32s], *, layer: int, index: int) -> tuple[Float32s, ...]:
        raise NotImplementedError

    def log_probabilities(
        self, excerpt: Int32s, *, layer: int, index: int, activations: Float32s | None = None
    ) -> Float32s:
        raise NotImplementedError


class Desk:
    """One neuron with an explanation, and a slot for trials that has a fake subject loaded."""

    def __init__(self, session: Session, sessions: Sessions, make: Make) -> None:
        self.session, self.make = session, make
        self.subject = Subject()
        self.n_found = 0
        self.neuron: Neuron = make.neuron(make.subject(), layer=1, index=2)
        self.explanation: Explanation = make.explanation(self.neuron, 'fires strongly on " import"')
        self.account = make.account()
        self.subjects = Subjects(self.find, measure=lambda slug: self.subject.n_bytes, budget=lambda: 1)
        handlers: Handlers = {
            TRIAL.name: TrialHandler(sessions, self.subjects),
            FIRING.name: FiringHandler(sessions, self.subjects),
            WARM_UP.name: WarmUpHandler(self.subjects),
        }
        context = WorkerContext(Settings(), sessions, handlers, uuid.uuid4(), Signal(), Signal())
        self.loop = WorkLoop(context, Lane.INTERACTIVE)

    def find(self, slug: str) -> Subject:
        assert slug == self.subject.slug
        self.n_found += 1
        return self.subject

    def ask(self, words: str = "abc", *, explained: bool = True) -> Task:
        """Queue a text and let the slot run it."""
        trial_id = enqueue_trial(
            self.session,
            neuron_id=self.neuron.id,
            explanation_id=self.explanation.id if explained else None,
            account_id=self.account.id,
            words=words,
        )
        self.session.commit()
        assert self.loop.run_one()
        self.session.expire_all()
        return self.session.get_one(Task, trial_id)


@pytest.fixture
def desk(session: Session, sessions: Sessions, make: Make) -> Desk:
    return Desk(session, sessions, make)


def result_of(trial: Task) -> TrialResult:
    assert trial.result is not None, trial.error
    return TrialResult.from_json(trial.result)


def test_a_text_is_answered_with_live_and_expected_activations(desk: Desk) -> None:
    trial = desk.ask(" abc")
    assert desk.subject.asked == [(" abc", 1, 2)]
    result = result_of(trial)
    assert (trial.status, result.token_ids, result.activations) == ("succeeded", [0, 4], [0.0, 4.0])
    assert result.expected is not None
    assert result.expected[0] == 0 < result.expected[1]
    assert result.unit == pytest.approx(0.4)
    assert result.simulator == "lexical"


def test_without_a_known_maximum_the_unit_is_that_of_the_records(desk: Desk) -> None:
    desk.make.sample(desk.neuron, desk.make.session.get_one(SubjectRow, desk.neuron.subject_id), rows=[(0.0, 2.5)])
    desk.neuron.max = None  # as an import may leave it
    assert result_of(desk.ask()).unit == pytest.approx(0.25)


def test_the_neurons_that_fire_on_a_text_are_ranked_by_the_share_of_their_own_maximum(desk: Desk) -> None:
    subject = desk.make.session.get_one(SubjectRow, desk.neuron.subject_id)
    for (layer, index), maximum in {(0, 0): 0.5, (0, 2): None, (0, 3): -0.5, (1, 0): 8.0, (1, 1): 4.0}.items():
        desk.make.neuron(subject, layer=layer, index=index, max=maximum)
    desk.neuron.max = 4.0  # 1/2
    task_id = enqueue_firing(
        desk.session, subject_id=subject.id, slug=subject.slug, account_id=desk.account.id, words=" abc"
    )
    desk.session.commit()
    assert desk.loop.run_one()
    desk.session.expire_all()
    task = desk.session.get_one(Task, task_id)
    assert task.result is not None, task.error
    result = FiringResult.from_json(task.result)
    assert desk.subject.asked == [(" abc", -1, -1)]
    found = [(neuron.layer, neuron.index, neuron.peak, neuron.at, neuron.share) for neuron in result.neurons]
    # 0/2 has no known maximum, 0/3 is never above 0, and 0/1 does not exist.
    assert found == [(0, 0, 0.5, 0, 1.0), (1, 1, 3.0, 1, 0.75), (1, 0, 4.0, 0, 0.5), (1, 2, 2.0, 0, 0.5)]
    assert (result.n_compared, result.token_ids) == (4, [0, 4])


def test_without_a_trial_there_is_nothing_to_do(desk: Desk) -> None:
    assert not desk.loop.run_one()


def test_a_trial_is_answered_once(desk: Desk) -> None:
    desk.ask()
    assert not desk.loop.run_one()


def test_without_an_explanation_only_live_activations_are_answered(desk: Desk) -> None:
    result = result_of(desk.ask(explained=False))
    assert (result.expected, result.note) == (None, None)


def test_an_explanation_that_the_simulator_cannot_read_gets_a_note(desk: Desk) -> None:
    desk.explanation = desk.make.explanation(desk.neuron, "about joy")
    result = result_of(desk.ask())
    assert result.expected is None
    assert "can be read" in str(result.note)


def test_a_method_that_asks_a_language_model_gets_a_note(desk: Desk) -> None:
    method: Method = desk.make.method("asking")
    method.provider = "house"
    desk.make.session.flush()
    desk.explanation = desk.make.explanation(desk.neuron, method_id=method.id)
    assert result_of(desk.ask()).note == ASKS_MODEL


@pytest.mark.parametrize("error", [SubjectError("not the weights"), ZeroDivisionError("not the weights \x00")])
def test_what_a_subject_raises_is_the_trials_error_and_the_next_is_answered(desk: Desk, error: Exception) -> None:
    def broken(texts: Sequence[str], *, layer: int, index: int) -> tuple[ActivationRecord, ...]:
        raise error

    working, desk.subject.activations = desk.subject.activations, broken  # type: ignore[method-assign]  # a fake that breaks
    trial = desk.ask()
    assert trial.status == ("failed" if isinstance(error, SubjectError) else "quarantined")
    assert "not the weights" in str(trial.error)
    desk.subject.activations = working  # type: ignore[method-assign]  # and works again
    assert desk.ask().status == "succeeded"


def test_a_number_that_is_none_is_never_stored() -> None:
    with pytest.raises(ValueError, match="finite"):
        TrialResult([1], [float("nan")], None, None, 0.0, None, None)


def test_trials_are_deleted_after_a_day(desk: Desk) -> None:
    old, new = desk.ask(), desk.ask()
    desk.session.execute(update(Task).where(Task.id == old.id).values(queued_at=func.now() - timedelta(hours=25)))
    delete_old_tasks(desk.session)
    assert desk.session.scalars(select(Task.id)).all() == [new.id]


def test_a_subject_is_loaded_before_a_text_is_tried_once_for_all_who_wait(desk: Desk) -> None:
    ids = {
        enqueue_warm_up(
            desk.session, subject_id=desk.neuron.subject_id, slug=desk.subject.slug, account_id=desk.account.id
        )
        for _ in range(3)
    }
    desk.session.commit()
    assert desk.loop.run_one()
    assert not desk.loop.run_one()
    assert (len(ids), desk.n_found, desk.subject.asked) == (1, 1, [])
