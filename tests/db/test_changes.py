"""What runs have changed: queued, executed and stored as production does it."""

import uuid

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.authors import AuthorKind
from app.domain.changes import Change
from app.domain.results import ExplanationResult, ScoreResult
from app.domain.work import WorkStatus
from app.errors import Invalid
from app.models import Explanation, Method, Neuron, Run, RunChange, Subject
from app.queries.explanations.standing import refresh_current
from app.queries.explanations.store import Author, add_results, store_candidates, store_explanation
from app.queries.neurons.filters import NeuronFilter
from app.queries.neurons.selection import NeuronSelection
from app.queries.neurons.titles import filter_title
from app.queries.runs.changes import ChangeOrder, changed_runs
from app.queries.runs.progress import batch_summary, runs_page
from app.work.begin import Taker, begin_run
from app.work.enqueue import enqueue_batch, enqueue_scoring, enqueue_selection
from app.work.lease import RunLease, fail, finish
from tests.factories import Make


class Runs:
    """A subject, two methods, and runs that a worker does."""

    def __init__(self, session: Session, make: Make, n_neurons: int = 4) -> None:
        self.session, self.make = session, make
        self.subject: Subject = make.subject()
        self.neurons: list[Neuron] = [make.neuron(self.subject, index=index) for index in range(n_neurons)]
        self.old: Method = make.method("old")
        self.new: Method = make.method("new")

    def queue(self, *neurons: Neuron, method: Method | None = None) -> int:
        return enqueue_batch(
            self.session,
            subject_id=self.subject.id,
            neuron_ids=[neuron.id for neuron in neurons],
            method_id=(method or self.new).id,
            account_id=None,
        ).batch_id

    def begin(self) -> RunLease:
        lease = begin_run(self.session, taker=Taker(uuid.uuid4(), uuid.uuid4(), 60))
        assert lease is not None
        return lease

    def do(self, text: str, value: float | None, simulator: str = "lexical") -> int:
        """The next run gives this text with this score; its id."""
        lease = self.begin()
        assert finish(self.session, lease=lease)
        author = Author(AuthorKind.METHOD, "new", lease.method_id, lease.id, collection_id=self.subject.collection_id)
        reason = None if value is not None else "nothing varies"
        score = ScoreResult("correlation", "top_and_random", value, 10, 0, reason, simulator=simulator)
        result = ExplanationResult(text, scores=(score,))
        store_candidates(self.session, neuron_id=lease.neuron_id, results=[result], author=author)
        refresh_current(self.session, neuron_id=lease.neuron_id)
        return lease.id

    def change(self, run_id: int) -> RunChange:
        return self.session.get_one(RunChange, run_id, populate_existing=True)


@pytest.fixture
def runs(session: Session, make: Make) -> Runs:
    return Runs(session, make)


def test_a_run_is_compared_with_what_spoke_when_it_was_queued(runs: Runs) -> None:
    neuron = runs.neurons[0]
    first = runs.make.explained(neuron, "fires on cats", 0.5)
    runs.queue(neuron)
    runs.make.explained(neuron, "fires on dogs", 0.9)  # meanwhile
    found = runs.change(runs.do("fires on birds", 0.7))
    assert (found.change, found.before, found.after) == (Change.BETTER, 0.5, 0.7)
    assert found.difference == pytest.approx(0.2)
    run = runs.session.get_one(Run, found.run_id)
    assert run.before_explanation_id == first
    assert found.is_current  # the newest that is scored


def test_a_batch_counts_what_its_runs_have_changed(runs: Runs) -> None:
    for neuron in runs.neurons[:3]:
        runs.make.explained(neuron, "fires on cats", 0.5)
    batch_id = runs.queue(*runs.neurons)
    for value in (0.7, 0.502, 0.1, 0.3):
        runs.do("fires on dogs", value)
    summary = batch_summary(runs.session, batch_id=batch_id)
    assert summary.changes.counts == {
        Change.BETTER: 1, Change.SAME: 1, Change.WORSE: 1, Change.FIRST: 1, Change.UNCLEAR: 0,
    }  # fmt: skip
    assert summary.changes.n_current == 4
    assert summary.title == "4 chosen neurons"


def test_a_score_that_comes_later_is_compared_too(runs: Runs) -> None:
    neuron = runs.neurons[0]
    runs.make.explained(neuron, "fires on cats", 0.5)
    runs.queue(neuron)
    run_id = runs.do("fires on dogs", None)
    assert runs.change(run_id).change == Change.UNCLEAR
    explanation = runs.session.scalars(select(Explanation).where(Explanation.run_id == run_id)).one()
    enqueue_scoring(runs.session, explanation_id=explanation.id, method_id=runs.old.id, account_id=None)
    lease = runs.begin()
    assert finish(runs.session, lease=lease)
    score = ScoreResult("correlation", "top_and_random", 0.8, 10, 0, simulator="lexical")
    author = Author(AuthorKind.METHOD, "old", lease.method_id, lease.id)
    result = ExplanationResult(explanation.text, scores=(score,))
    add_results(runs.session, explanation_id=explanation.id, result=result, author=author)
    refresh_current(runs.session, neuron_id=neuron.id)
    assert runs.change(run_id).change == Change.BETTER
    assert runs.change(lease.id).explanation_id == explanation.id


def test_a_run_that_fails_has_changed_nothing(runs: Runs) -> None:
    batch_id = runs.queue(runs.neurons[0])
    fail(runs.session, lease=runs.begin(), error="This neuron never fires on this corpus.")
    summary = batch_summary(runs.session, batch_id=batch_id)
    assert (summary.n_failed, sum(summary.changes.counts.values())) == (1, 0)


def test_another_text_takes_the_place_of_the_one_that_was_shown(runs: Runs) -> None:
    neuron = runs.neurons[0]
    runs.queue(neuron)
    run_id = runs.do("fires on dogs", 0.5)
    assert runs.change(run_id).is_current
    runs.make.explained(neuron, "fires on cats", 0.6)
    assert not runs.change(run_id).is_current


@pytest.mark.parametrize("size", [1, 2, 50])
@pytest.mark.parametrize("best_first", [True, False])
@pytest.mark.parametrize("change", [None, Change.BETTER, Change.FIRST])
def test_every_changed_run_is_on_one_page(
    session: Session, make: Make, size: int, best_first: bool, change: Change | None
) -> None:
    runs = Runs(session, make, n_neurons=8)
    for neuron in runs.neurons[:6]:
        make.explained(neuron, "fires on cats", 0.5)
    batch_id = runs.queue(*runs.neurons)
    for value in (0.7, 0.7, 0.1, 0.9, 0.5, 0.6, 0.2, 0.3):
        runs.do("fires on dogs", value)
    order = ChangeOrder(batch_id, change, best_first)
    forwards, cursor = list[int](), None
    while True:
        page = changed_runs(session, order, size=size, after=cursor)
        forwards += page.rows
        cursor = page.next
        if cursor is None:
            break
    wanted = {None: 6, Change.BETTER: 4, Change.FIRST: 2}[change]
    assert len(forwards) == len(set(forwards)) == wanted
    backwards, cursor = list[int](), page.previous
    rest = page.rows
    while cursor is not None:
        page = changed_runs(session, order, size=size, before=cursor)
        backwards = [*page.rows, *backwards]
        cursor = page.previous
    assert [*backwards, *rest] == forwards
    differences = [session.get_one(RunChange, i).difference for i in forwards]
    if change is not Change.FIRST:
        assert differences == sorted(differences, key=lambda d: d or 0.0, reverse=best_first)
    rows = runs_page(session, batch_id=batch_id, size=50, listed=order).rows
    assert [row.id for row in rows] == forwards


@pytest.mark.parametrize("cursor", ["x", "0.5", "nan@1", "0.5@0", "0.5@x", "inf@3", "@"])
def test_a_malformed_cursor_is_refused(session: Session, cursor: str) -> None:
    with pytest.raises(Invalid):
        changed_runs(session, ChangeOrder(1), size=5, after=cursor)


def test_a_batch_is_named_by_the_filters_that_chose_it(runs: Runs) -> None:
    selection = NeuronSelection(runs.subject.id, NeuronFilter(layer=0, headline_max=0.4))
    for neuron in runs.neurons:
        neuron.headline_score = 0.2
    runs.session.flush()
    queued = enqueue_selection(
        runs.session, selection=selection, method_id=runs.new.id, account_id=None, filters="layer=0&headline_max=0.4"
    )
    summary = batch_summary(runs.session, batch_id=queued.batch_id)
    assert summary.title == "layer 0, whole-corpus score at most 0.4"
    assert summary.list_address == "/tiny?layer=0&headline_max=0.4"
    assert summary.counts[WorkStatus.QUEUED] == 4


def test_a_batch_of_one_is_named_by_its_neuron(runs: Runs) -> None:
    batch_id = runs.queue(runs.neurons[2])
    assert batch_summary(runs.session, batch_id=batch_id).title == "neuron 0/2"
    text = ExplanationResult("fires on cats")
    explanation_id = store_explanation(
        runs.session, neuron_id=runs.neurons[1].id, result=text, author=Author(AuthorKind.PERSON, "alice")
    )
    queued = enqueue_scoring(runs.session, explanation_id=explanation_id, method_id=runs.new.id, account_id=None)
    assert batch_summary(runs.session, batch_id=queued.batch_id).title == "an explanation of neuron 0/1"


@pytest.mark.parametrize(
    ("wanted", "title"),
    [
        (NeuronFilter(), "all neurons"),
        (NeuronFilter(rate_min=0.001, rate_max=0.05), "firing rate from 0.1% to 5%"),
        (NeuronFilter(margin_max=-0.05), "margin over the token table at most −0.05"),
        (NeuronFilter(headline_max=0.0), "whole-corpus score at most 0"),
        (NeuronFilter(words="cats", token="import"), "driven by “import”, “cats” in the explanation"),
    ],
)
def test_filters_are_written_in_words(wanted: NeuronFilter, title: str) -> None:
    assert filter_title(wanted) == title
