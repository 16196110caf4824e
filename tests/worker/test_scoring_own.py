"""A person's explanation through the queue: scored, never explained over."""

import uuid
from threading import Event as Signal

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import Sessions
from app.domain.activations import SampleKind
from app.domain.authors import AuthorKind
from app.domain.methods import LEXICAL
from app.domain.results import ExplanationResult
from app.domain.work import RUN, Lane
from app.errors import MethodError
from app.models import Event, Explanation, Method, Neuron, Run, Score, Simulation
from app.queries.explanations.standing import refresh_current
from app.queries.explanations.store import Author, store_explanation
from app.queries.methods.definitions import ensure_builtin_methods, newest_method
from app.queries.methods.figures import figures_of, method_figures
from app.queries.runs.progress import run_detail
from app.settings import Settings
from app.work.enqueue import enqueue_scoring
from tests.factories import Make
from tests.worker.test_pipeline import Reading, Texts, method, silently, task
from worker.method.contracts import Services
from worker.method.pipeline import run_method
from worker.method.registry import build_method
from worker.run.loop import WorkerContext, WorkLoop
from worker.run.runs import RunHandler, build_work


class Site:
    """A neuron that fires on " import" (token 4), and a worker with the lexical method."""

    def __init__(self, session: Session, sessions: Sessions, make: Make) -> None:
        self.session = session
        subject = make.subject()
        self.neuron: Neuron = make.neuron(subject)
        tokens = [[0, 4, i % 4] for i in range(12)]
        make.sample(self.neuron, subject, rows=[(0.0, 4.0, 0.0)] * 12, token_ids=tokens)
        make.sample(self.neuron, subject, SampleKind.RANDOM, rows=[(0.0, 0.0, 0.0)] * 9, token_ids=[[0, 1, 2]] * 9)
        ensure_builtin_methods(session, definitions=[LEXICAL])
        self.method: Method = newest_method(session, name="lexical")
        settings = Settings(retry_seconds=0, progress_seconds=0)
        handlers = {RUN: RunHandler(sessions, build_work)}
        context = WorkerContext(settings, sessions, handlers, uuid.uuid4(), Signal(), Signal())
        self.loop = WorkLoop(context, Lane.RUNS)

    def score(self, text: str) -> int:
        """Store a person's text and let the worker score it; returns its id."""
        author = Author(AuthorKind.PERSON, "alice")
        result = ExplanationResult(text)
        explanation_id = store_explanation(self.session, neuron_id=self.neuron.id, result=result, author=author)
        refresh_current(self.session, neuron_id=self.neuron.id)
        enqueue_scoring(self.session, explanation_id=explanation_id, method_id=self.method.id, account_id=None)
        self.session.commit()
        assert self.loop.run_one()
        self.session.expire_all()
        return explanation_id

    def run(self) -> Run:
        return self.session.scalars(select(Run).order_by(Run.id.desc()).limit(1)).one()


@pytest.fixture
def site(session: Session, sessions: Sessions, make: Make) -> Site:
    return Site(session, sessions, make)


def test_results_are_stored_for_that_explanation_and_no_other_is_made(site: Site) -> None:
    explanation_id = site.score('fires strongly on " import"')
    assert site.session.scalars(select(Explanation.id)).all() == [explanation_id]
    score = site.session.scalars(
        select(Score).where(Score.scorer == "correlation", Score.sample == "top_and_random")
    ).one()
    assert (score.explanation_id, score.run_id, score.method_id) == (explanation_id, site.run().id, site.method.id)
    assert score.value == pytest.approx(1.0)
    assert {s.explanation_id for s in site.session.scalars(select(Simulation))} == {explanation_id}
    assert site.run().status == "succeeded"
    assert run_detail(site.session, run_id=site.run().id).run.result.explanation_id == explanation_id  # type: ignore[union-attr]  # a missing one fails the test


@pytest.mark.parametrize(
    "text", ["fires on 「import」", "fires on»·import«", "fires on ‹import›", "fires on ＂import＂"]
)
def test_an_explanation_in_any_quotation_marks_is_scored(site: Site, text: str) -> None:
    site.score(text)
    assert site.run().status == "succeeded"
    assert site.session.scalars(
        select(Score.value).where(Score.scorer == "correlation", Score.sample == "top_and_random")
    ).one() == pytest.approx(1.0)


def test_a_persons_explanation_is_shown_first_once_it_is_scored_whatever_it_scores(site: Site) -> None:
    for number, text in enumerate(('fires on " the"', 'fires on " import"', 'fires on " import" or " cat"'), 1):
        newest = site.score(text)
        assert (site.neuron.current_explanation_id, site.neuron.n_explanations) == (newest, number)
    site.score("a neuron about joy")
    assert (site.neuron.current_explanation_id, site.neuron.n_explanations) == (newest, 4)


def test_a_text_without_anything_to_read_fails_the_run_and_stays_unscored(site: Site) -> None:
    explanation_id = site.score("a neuron about joy")
    assert site.run().status == "failed"
    assert site.run().error
    assert site.session.get_one(Explanation, explanation_id).text == "a neuron about joy"
    assert site.session.scalars(select(Score)).all() == []


def test_what_the_scores_came_from_is_in_the_history(site: Site) -> None:
    site.score('fires on " import"')
    event = site.session.scalars(select(Event).where(Event.kind == "run.succeeded")).one()
    assert event.detail["provenance"]["simulator"]["name"] == "lexical"


def test_a_method_is_not_judged_by_the_texts_of_people(site: Site) -> None:
    site.score('fires on " import"')
    figures = figures_of(method_figures(site.session), site.method.id)
    assert (figures.n_runs, figures.headline.n) == (0, 0)


def test_a_given_text_is_scored_without_asking_the_explainer() -> None:
    explainer = Texts("1")
    (result,) = run_method(method(explainer), task(text="0"), silently)
    assert explainer.seen == []
    assert result.text == "0"
    (explained,) = run_method(method(Texts("0")), task(), silently)
    assert result.scores == explained.scores


def test_a_given_text_that_cannot_be_simulated_is_an_error_with_its_cause() -> None:
    with pytest.raises(MethodError, match="there is nothing to read"):
        run_method(method(Texts("1")), task(text="nothing"), silently)


def test_one_simulated_excerpt_is_enough_to_keep() -> None:
    everything_but_one = [3, 7, 11, 15, 102, 105, 108, 111, 114]
    (result,) = run_method(method(Texts("1"), Reading(fails=everything_but_one)), task(text="0"), silently)
    assert (result.scores[0].n_valid, result.scores[0].n_failed) == (1, 9)


def test_the_lexical_method_says_what_it_could_not_read() -> None:
    built = build_method(LEXICAL, Services())
    with pytest.raises(MethodError):
        run_method(built, task(text="about joy"), silently)
