import threading
from collections.abc import Sequence

import numpy as np
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from app.db import Sessions, make_engine, make_sessions, transaction
from app.domain.activations import ActivationRecord, FloatArray, IntArray
from app.domain.trials import TrialResult
from app.errors import SubjectError
from app.models import Explanation, Method, Neuron, Trial
from app.queries.runs.trials import announce_trial, ask_trial, delete_old_trials, finish_trial
from tests.factories import Make
from worker.method.live import LiveSubject
from worker.run.trials import ASKS_MODEL, TrialLoop


class Subject:
    """Every text is " the import"; the neuron fires on the second token with its length."""

    slug = "tiny"

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int]] = []

    def activations(self, texts: Sequence[str], *, layer: int, index: int) -> tuple[ActivationRecord, ...]:
        self.asked += [(text, layer, index) for text in texts]
        values = [np.array([0, len(text)], dtype=np.float32) for text in texts]
        return tuple(ActivationRecord(-1, np.array([0, 4], dtype=np.int32), v) for v in values)

    def contexts(self, excerpts: Sequence[IntArray], positions: Sequence[int], *, layer: int) -> FloatArray:
        raise NotImplementedError

    def log_probabilities(
        self, excerpt: IntArray, *, layer: int, index: int, activations: FloatArray | None = None
    ) -> FloatArray:
        raise NotImplementedError


class Desk:
    """One neuron with an explanation, and a loop that answers with a fake subject."""

    def __init__(self, session: Session, sessions: Sessions, make: Make) -> None:
        self.session, self.make = session, make
        self.subject = Subject()
        self.neuron: Neuron = make.neuron(make.subject(), layer=1, index=2)
        self.explanation: Explanation = make.explanation(self.neuron, 'fires strongly on " import"')
        self.account = make.account()
        self.loop = TrialLoop(sessions, self.find, stop=threading.Event())

    def find(self, slug: str) -> LiveSubject:
        assert slug == self.subject.slug
        return self.subject

    def ask(self, words: str = "abc", *, explained: bool = True) -> Trial:
        """Ask for a text and let the loop answer."""
        trial_id = ask_trial(
            self.session,
            neuron_id=self.neuron.id,
            explanation_id=self.explanation.id if explained else None,
            account_id=self.account.id,
            words=words,
        )
        self.session.commit()
        assert self.loop.answer_one()
        self.session.expire_all()
        return self.session.get_one(Trial, trial_id)


@pytest.fixture
def desk(session: Session, sessions: Sessions, make: Make) -> Desk:
    return Desk(session, sessions, make)


def result_of(trial: Trial) -> TrialResult:
    assert trial.result is not None, trial.error
    return TrialResult.from_json(trial.result)


def test_a_text_is_answered_with_live_and_expected_activations(desk: Desk) -> None:
    trial = desk.ask(" abc")
    assert desk.subject.asked == [(" abc", 1, 2)]
    result = result_of(trial)
    assert (trial.status, result.token_ids, result.activations) == ("done", [0, 4], [0.0, 4.0])
    assert result.expected is not None
    assert result.expected[0] == 0 < result.expected[1]


def test_without_a_trial_there_is_nothing_to_do(desk: Desk) -> None:
    assert not desk.loop.answer_one()


def test_a_trial_is_answered_once(desk: Desk) -> None:
    desk.ask()
    assert not desk.loop.answer_one()


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
    assert trial.status == "failed"
    assert str(trial.error).startswith("not the weights")
    desk.subject.activations = working  # type: ignore[method-assign]  # and works again
    assert desk.ask().status == "done"


def test_a_number_that_is_none_is_never_stored() -> None:
    with pytest.raises(ValueError, match="finite"):
        TrialResult([1], [float("nan")], None, None, 0.0)


def test_an_answer_to_a_trial_that_has_ended_changes_nothing(desk: Desk) -> None:
    trial = desk.ask()
    finish_trial(desk.session, trial_id=trial.id, result=TrialResult([], [], None, "late", 0.0))
    desk.session.expire_all()
    assert result_of(trial).note is None


def test_trials_are_forgotten_after_a_day(desk: Desk) -> None:
    old, new = desk.ask(), desk.ask()
    desk.session.execute(
        update(Trial).where(Trial.id == old.id).values(created_at=func.now() - func.make_interval(0, 0, 0, 0, 25))
    )
    delete_old_trials(desk.session, hours=24)
    assert desk.session.scalars(select(Trial.id)).all() == [new.id]


def test_a_sleeping_loop_wakes_for_a_trial_and_for_its_announcement(fresh_database: str) -> None:
    options = "-c idle_in_transaction_session_timeout=60000"  # as a worker's own address has
    address = make_url(fresh_database).update_query_dict({"options": options})
    engine = make_engine(address.render_as_string(hide_password=False))
    sessions = make_sessions(engine)
    with sessions() as session, session.begin():
        desk = Desk(session, sessions, Make(session))
        neuron_id, account_id = desk.neuron.id, desk.account.id
    found, stop = threading.Event(), threading.Event()

    def find(slug: str) -> LiveSubject:
        found.set()
        return desk.subject

    thread = threading.Thread(target=TrialLoop(sessions, find, stop=stop).run, args=[engine])
    thread.start()
    guard = 60
    while not found.wait(0.05) and (guard := guard - 1):  # until it listens
        with transaction(sessions) as session:
            announce_trial(session, subject="tiny")
    assert found.is_set()
    with transaction(sessions) as session:
        trial_id = ask_trial(session, neuron_id=neuron_id, explanation_id=None, account_id=account_id, words="abc")
    status, guard = "waiting", 600
    while status != "done" and (guard := guard - 1):
        stop.wait(0.02)
        with transaction(sessions) as session:
            status = session.get_one(Trial, trial_id).status
    stop.set()
    thread.join(30)
    assert status == "done"
    assert not thread.is_alive()
    engine.dispose()
