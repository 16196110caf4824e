"""A method without chance that gives a text again adds no copy; one with chance does."""

from dataclasses import replace

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db import Sessions
from app.domain.changes import Change
from app.domain.methods import MethodDefinition
from app.domain.results import ExplanationResult, ScoreResult
from app.models import Event, Explanation, Neuron, Provider, RejectedExplanation, Run, RunChange, Score, Simulation
from app.queries.review.flags import open_flag, resolve_flag
from app.queries.review.taking import Reviewer
from app.work.enqueue import enqueue_batch
from tests.factories import Make
from tests.worker.looping import work_off
from tests.worker.test_worker import RESULT
from worker.run.runs import Work


class Bench:
    """One neuron, explained by a method as often as a test wants."""

    def __init__(self, session: Session, sessions: Sessions, make: Make) -> None:
        self.session, self.sessions, self.make = session, sessions, make
        self.subject = make.subject()
        self.neuron: Neuron = make.neuron(self.subject)
        make.sample(self.neuron, self.subject)
        self.method = make.method()

    def explain(self, result: ExplanationResult = RESULT) -> RunChange:
        """One more run of the method with this result; what it has changed."""

        def build(definition: MethodDefinition) -> Work:
            return lambda task, report: (result,)

        enqueue_batch(
            self.session,
            subject_id=self.subject.id,
            neuron_ids=[self.neuron.id],
            method_id=self.method.id,
            account_id=None,
        )
        self.session.commit()
        assert work_off(self.sessions, build) == 1
        self.session.expire_all()
        run = self.session.scalars(select(Run).order_by(Run.id.desc())).first()
        assert run is not None
        assert run.status == "succeeded"
        return self.session.get_one(RunChange, run.id)

    def number(self, table: type[Explanation | Score | Simulation]) -> int:
        return self.session.scalar(select(func.count()).select_from(table)) or 0


@pytest.fixture
def bench(session: Session, sessions: Sessions, make: Make) -> Bench:
    return Bench(session, sessions, make)


def test_the_same_text_of_a_method_without_chance_is_no_new_explanation(bench: Bench) -> None:
    first = bench.explain()
    again = bench.explain()
    assert (bench.number(Explanation), bench.number(Score), bench.number(Simulation)) == (1, 1, 1)
    assert (again.explanation_id, again.is_copy, again.change) == (first.explanation_id, True, Change.SAME)
    assert again.is_current
    event = bench.session.scalars(select(Event).where(Event.kind == "run.succeeded").order_by(Event.id.desc())).first()
    assert event is not None
    assert event.detail["same_as"] == first.explanation_id
    assert bench.neuron.n_explanations == 1


def test_scores_of_a_newer_scorer_are_stored_with_the_text_that_stays(bench: Bench) -> None:
    bench.explain()
    newer = replace(RESULT, scores=(ScoreResult("correlation", "top_and_random", 0.6, 1, 0, simulator="fake"),))
    again = bench.explain(newer)
    assert again.is_copy
    assert (bench.number(Explanation), bench.number(Score)) == (1, 2)
    assert bench.neuron.current_score == 0.6


def test_another_text_is_another_explanation(bench: Bench) -> None:
    bench.explain()
    other = bench.explain(replace(RESULT, text="fires on cats"))
    assert not other.is_copy
    assert bench.number(Explanation) == 2


def test_a_method_that_asks_a_language_model_may_give_the_same_text_twice(bench: Bench) -> None:
    bench.session.add(Provider(name="house", kind="openai_compatible", model="m"))
    bench.method.provider = "house"
    bench.session.commit()
    bench.explain()
    again = bench.explain()
    assert not again.is_copy
    assert bench.number(Explanation) == 2


def test_the_same_text_after_another_collection_is_another_explanation(bench: Bench) -> None:
    bench.explain()
    bench.make.collection(bench.subject)
    bench.make.sample(bench.neuron, bench.subject)
    assert not bench.explain().is_copy
    assert bench.number(Explanation) == 2


def test_a_rejected_text_does_not_come_back_by_being_given_again(bench: Bench) -> None:
    bench.session.add(Provider(name="house", kind="openai_compatible", model="m"))
    bench.method.provider = "house"
    change = bench.explain()
    alice, bob = bench.make.account("alice"), bench.make.account("bob", "reviewer")
    flag_id = open_flag(
        bench.session, explanation_id=change.explanation_id, account_id=alice.id, reason="wrong", note=""
    )
    resolve_flag(bench.session, flag_id=flag_id, reviewer=Reviewer(bob.id), kind="wrong", note="")
    bench.session.commit()
    bench.session.refresh(bench.neuron)
    assert bench.neuron.current_explanation_id is None
    again = bench.explain()  # a new row with the old words
    assert not again.is_current
    assert again.explanation_id != change.explanation_id
    assert bench.neuron.current_explanation_id is None
    assert bench.session.scalars(select(RejectedExplanation.explanation_id)).all() == [change.explanation_id]
    bench.explain(replace(RESULT, text="fires on cats"))
    assert bench.neuron.current_text == "fires on cats"
