"""Sums that pages show are those that counting finds, whatever happens to neurons, runs, flags and calls."""

import random
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from app.cli.main import cli
from app.db import Sessions, transaction
from app.domain.authors import AuthorKind
from app.domain.language_models import Outcome
from app.domain.means import mean_with_interval
from app.domain.results import ExplanationResult, ScoreResult
from app.domain.work import ACTIVE
from app.errors import Conflict, Invalid
from app.models import COUNT_TABLES, Account, Explanation, Flag, LlmCall, Neuron, NeuronCount, ReviewItem, Run
from app.queries.common.counting import compact_counts, recount
from app.queries.explanations.standing import refresh_current
from app.queries.explanations.store import Author, add_results, store_candidates
from app.queries.language_models.calls import Call, store_call
from app.queries.methods.figures import figures_of, method_figures
from app.queries.people.accounts import Viewer
from app.queries.review.flags import open_flag, resolve_flag
from app.queries.review.taking import Reviewer
from app.queries.subjects.overview import SCORE_BINS, overview
from app.work.begin import Taker, begin_run
from app.work.enqueue import cancel_batch, cancel_run, enqueue_batch, enqueue_scoring, retry_run
from app.work.explanations import write_explanation
from app.work.lease import RunLease, fail, finish, reap_expired, release
from tests.factories import Make, WholeCorpus
from tests.truth import assert_counts_are_true, kept_sums

N_NEURONS = 6
SIMULATORS = ("lexical", "lexical+linear", "structured")


def call_of(*, price: float | None, tokens: tuple[int, int, int] | None = None, is_estimated: bool = False) -> Call:
    return Call("explain", "d", "house", {}, None, None, None, Outcome.OK, None, 1, tokens, is_estimated, price, 0.1)


class Story:
    """A subject on which everything happens that production lets happen, in any order."""

    def __init__(self, session: Session, make: Make, seed: int, slug: str = "tiny") -> None:
        self.session, self.chance = session, random.Random(seed)
        self.subject = make.subject(slug, n_layers=2, neurons_per_layer=N_NEURONS // 2)
        self.neurons = [make.neuron(self.subject, *divmod(i, N_NEURONS // 2)).id for i in range(N_NEURONS)]
        self.methods = [make.method(f"{slug} {name}").id for name in ("one", "two")]
        self.alice: Account = make.account(f"alice of {slug}")
        self.bob: Account = make.account(f"bob of {slug}")
        self.held: list[RunLease] = []

    def pick(self, statement: Any) -> int | None:
        found = self.session.scalars(statement).all()
        return self.chance.choice(found) if found else None

    def queue(self) -> None:
        some = self.chance.sample(self.neurons, self.chance.randrange(1, N_NEURONS))
        enqueue_batch(
            self.session,
            subject_id=self.subject.id,
            neuron_ids=some,
            method_id=self.chance.choice(self.methods),
            account_id=self.chance.choice([None, self.alice.id]),
        )

    def begin(self) -> None:
        for _ in range(3):
            lease = begin_run(self.session, taker=Taker(uuid.uuid4(), uuid.uuid4(), 60))
            if lease is not None:
                self.held.append(lease)

    def scores(self) -> tuple[ScoreResult, ...]:
        value = self.chance.choice([None, -0.3, 0.0, 0.05, 0.5, 0.999, 1.0, self.chance.random()])
        reason = None if value is not None else "nothing varies"
        return (
            ScoreResult(
                "correlation", "top_and_random", value, 10, 0, reason, simulator=self.chance.choice(SIMULATORS)
            ),
            ScoreResult("correlation", "random", 0.1, 10, 0, simulator="lexical"),
            *WholeCorpus(value).scores("lexical"),
        )

    def end(self) -> None:
        """A run ends: with candidates, with scores of a given text, or without a result."""
        if not self.held:
            return
        lease = self.held.pop(self.chance.randrange(len(self.held)))
        self.call(lease.id)
        how = self.chance.choice(["finish", "finish", "fail", "release", "die"])
        if how == "fail":
            fail(self.session, lease=lease, error="broken")
        elif how == "release":
            release(self.session, lease=lease)
        elif how == "die":
            self.session.execute(
                update(Run).where(Run.id == lease.id).values(lease_until=func.now() - text("interval '1 hour'"))
            )
            reap_expired(self.session, lease_seconds=0, max_deaths=2)
        elif finish(self.session, lease=lease):
            self.store(lease)

    def store(self, lease: RunLease) -> None:
        run = self.session.get_one(Run, lease.id, populate_existing=True)
        author = Author(AuthorKind.METHOD, "one", lease.method_id, lease.id, collection_id=self.subject.collection_id)
        if run.explanation_id is not None:
            result = ExplanationResult("", scores=self.scores())
            add_results(self.session, explanation_id=run.explanation_id, result=result, author=author)
        else:
            results = [ExplanationResult(f"text {i}", scores=self.scores()) for i in range(self.chance.randrange(1, 4))]
            store_candidates(self.session, neuron_id=lease.neuron_id, results=results, author=author)
        refresh_current(self.session, neuron_id=lease.neuron_id)

    def call(self, run_id: int | None) -> None:
        call = call_of(
            tokens=self.chance.choice([None, (10, 2, 5)]),
            is_estimated=self.chance.random() < 0.3,
            price=self.chance.choice([None, 0.0, 0.25]),
        )
        store_call(self.session, run_id=run_id, call=call)

    def call_for_nobody(self) -> None:
        self.call(None)

    def cancel(self) -> None:
        run_id = self.pick(select(Run.id).where(Run.status.in_(ACTIVE)))
        if run_id is None:
            return
        if self.chance.random() < 0.5:
            cancel_run(self.session, run_id=run_id, account_id=self.alice.id)
        else:
            batch_id = self.session.get_one(Run, run_id).batch_id
            cancel_batch(self.session, batch_id=batch_id, account_id=self.alice.id)

    def retry(self) -> None:
        run_id = self.pick(select(Run.id).where(Run.status.in_(("failed", "cancelled", "quarantined"))))
        if run_id is not None:
            retry_run(self.session, run_id=run_id, account_id=self.alice.id)

    def flag(self) -> None:
        explanation_id = self.pick(select(Explanation.id))
        if explanation_id is not None:
            open_flag(self.session, explanation_id=explanation_id, account_id=self.alice.id, reason="wrong", note="")

    def resolve(self) -> None:
        open_ones = select(Flag.id).join(ReviewItem, ReviewItem.id == Flag.item_id).where(ReviewItem.state == "open")
        flag_id = self.pick(open_ones)
        if flag_id is not None:  # nobody judges what they have written themselves
            kind = "wrong" if self.chance.random() < 0.2 else "holds"
            resolve_flag(self.session, flag_id=flag_id, reviewer=Reviewer(self.bob.id), kind=kind, note="")

    def write(self) -> None:
        viewer = Viewer(self.alice.id, self.alice.name, self.alice.role)  # type: ignore[arg-type]  # stored as text
        write_explanation(
            self.session,
            neuron_id=self.chance.choice(self.neurons),
            subject_id=self.subject.id,
            text="fires on cats",
            by=viewer,
            method_id=self.chance.choice(self.methods),
        )

    def score_again(self) -> None:
        explanation_id = self.pick(select(Explanation.id))
        if explanation_id is not None:
            enqueue_scoring(
                self.session,
                explanation_id=explanation_id,
                method_id=self.chance.choice(self.methods),
                account_id=None,
            )

    def compact(self) -> None:
        compact_counts(self.session)

    def anything(self) -> None:
        """One action, or one that is refused or rolled back."""
        actions: list[Callable[[], None]] = [
            self.queue, self.begin, self.begin, self.end, self.end, self.end, self.cancel, self.retry, self.flag,
            self.resolve, self.write, self.score_again, self.call_for_nobody, self.compact,
        ]  # fmt: skip
        step = self.session.begin_nested()
        try:
            self.chance.choice(actions)()
            self.session.flush()
        except (Invalid, Conflict):
            step.rollback()
            return
        if self.chance.random() < 0.15:
            step.rollback()
        else:
            step.commit()


@pytest.mark.parametrize("seed", range(8))
def test_sums_are_true_whatever_happens(session: Session, make: Make, seed: int) -> None:
    story, missing = Story(session, make, seed), list(COUNT_TABLES)
    for number in range(1_000):
        story.anything()
        if number % 10 == 9:
            assert_counts_are_true(session)
            missing = [table for table in COUNT_TABLES if not kept_sums(session, table)]
        if number >= 120 and not missing:  # something of every kind has happened
            break
    assert not missing
    compact_counts(session)
    assert_counts_are_true(session)


def test_rows_that_were_written_with_triggers_off_are_recounted(session: Session, make: Make) -> None:
    story = Story(session, make, 1)
    session.execute(text("SET LOCAL session_replication_role = replica"))
    for _ in range(80):
        story.anything()
    session.execute(text("SET LOCAL session_replication_role = origin"))
    recount(session)
    assert kept_sums(session, NeuronCount)
    assert_counts_are_true(session)


def test_many_neurons_that_change_at_once_are_counted(session: Session, make: Make) -> None:
    subject = make.subject(n_layers=2, neurons_per_layer=50)
    for layer in range(2):
        for index in range(50):
            make.neuron(subject, layer, index)
    assert kept_sums(session, NeuronCount) == {}
    session.execute(update(Neuron).where(Neuron.index < 20).values(n_open_flags=1))
    session.execute(update(Neuron).where(Neuron.index < 10).values(current_score=Neuron.index / 10.0))
    assert_counts_are_true(session)
    session.execute(text("DELETE FROM neuron WHERE index < 5"))
    assert_counts_are_true(session)
    assert sum(values[1] for values in kept_sums(session, NeuronCount).values()) == 30


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (-1.0, 0),
        (-1e-9, 0),
        (0.0, 1),
        (0.0499, 1),
        (0.05, 2),
        (0.5, 11),
        (0.999, 20),
        (1.0, 20),
        (1.5, 20),
        (None, None),
    ],
)
def test_scores_fall_into_the_bins_of_the_histogram(
    session: Session, score: float | None, expected: int | None
) -> None:
    assert session.scalar(select(func.score_bin(score))) == expected
    assert session.scalar(select(func.score_bin(1.0))) == SCORE_BINS


def test_a_score_that_is_no_number_is_in_no_bin(session: Session) -> None:
    assert session.scalar(text("SELECT score_bin('NaN')")) is None


def test_compacting_leaves_one_row_for_a_group_and_none_for_nothing(session: Session, make: Make) -> None:
    neuron = make.neuron(make.subject())
    for score in (0.1, 0.9, 0.9):
        make.explained(neuron, f"text {score}", score)
    flag_id = open_flag(
        session,
        explanation_id=session.scalars(select(Explanation.id)).first() or 0,
        account_id=make.account().id,
        reason="wrong",
        note="",
    )
    resolve_flag(session, flag_id=flag_id, reviewer=Reviewer(make.account("bob").id), kind="wrong", note="")
    compact_counts(session)
    assert session.scalars(select(NeuronCount.bin)).all() == [19]


def test_pages_show_the_kept_sums(session: Session, make: Make) -> None:
    subject = make.subject(n_layers=2)
    method = make.method("lexical")
    for index, value in enumerate((0.2, 0.6, None)):
        make.explained(make.neuron(subject, 1, index), value=value, method=method)
    (summary,) = overview(session).subjects
    (scores,) = summary.scores
    assert (summary.n_explained, summary.n_flagged, scores.n_scored) == (3, 0, 2)
    (figures,) = method_figures(session)
    assert (figures.n_neurons, figures.score_2023.n, figures.whole_corpus.n) == (3, 2, 0)
    assert figures.headline is figures.score_2023
    expected = mean_with_interval(2, 0.4, 0.08**0.5)
    assert figures.score_2023.mean.value == pytest.approx(0.4)
    assert figures.score_2023.mean.interval == pytest.approx(expected.interval)


def test_a_call_that_is_priced_later_is_counted_once(session: Session, make: Make) -> None:
    story = Story(session, make, 0)
    story.call(None)
    session.execute(update(LlmCall).values(price=2.5, tokens_in=7))
    assert_counts_are_true(session)


def test_calls_of_runs_that_failed_are_part_of_what_a_neuron_costs(session: Session, make: Make) -> None:
    story = Story(session, make, 0)
    enqueue_batch(
        session, subject_id=story.subject.id, neuron_ids=story.neurons[:4], method_id=story.methods[0], account_id=None
    )
    story.begin()
    for lease, price in zip(story.held, (0.25, 0.5, 0.75), strict=True):
        store_call(session, run_id=lease.id, call=call_of(price=price))
    assert figures_of(method_figures(session), story.methods[0]).price_per_neuron is None
    assert finish(session, lease=story.held[0])
    assert finish(session, lease=story.held[1])
    fail(session, lease=story.held[2], error="broken")
    figures = figures_of(method_figures(session), story.methods[0])
    assert (figures.n_runs, figures.n_failed) == (2, 1)
    assert figures.price_per_neuron == pytest.approx(0.75)


def test_a_score_that_cannot_be_summed_leaves_the_sums_as_they_are(session: Session, make: Make) -> None:
    neurons = [make.neuron(make.subject(), 0, index) for index in range(1)]
    method = make.method()
    make.explained(neurons[0], value=0.5, method=method)
    for odd in ("NaN", "Infinity", "-1e200"):
        session.execute(text("UPDATE method_standing SET score = CAST(:odd AS float8)"), {"odd": odd})
        assert [(f.score_2023.n, f.whole_corpus.n) for f in method_figures(session)] == [(0, 0)]
    session.execute(text("UPDATE method_standing SET score = 0.25"))
    assert method_figures(session)[0].score_2023.mean.value == pytest.approx(0.25)


def test_counts_are_true_after_transactions_that_overlap(fresh_sessions: Sessions) -> None:
    """Four workers, each with its own transactions, some rolled back, while two more compact."""
    with transaction(fresh_sessions) as session:
        make = Make(session)
        stories = [Story(session, make, seed, slug=f"s{seed}") for seed in range(4)]
    stop = threading.Event()

    def work(story: Story) -> None:
        for _ in range(40):
            with transaction(fresh_sessions) as session:
                story.session = session
                story.anything()

    def keep_compacting() -> None:
        while not stop.is_set():
            with transaction(fresh_sessions) as session:
                compact_counts(session)

    with ThreadPoolExecutor(6) as pool:
        compactors = [pool.submit(keep_compacting) for _ in range(2)]
        try:
            list(pool.map(work, stories))
        finally:
            stop.set()
        for each in compactors:
            each.result()
    with transaction(fresh_sessions) as session:
        assert_counts_are_true(session)


def test_a_command_counts_again(fresh_database: str, fresh_sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction(fresh_sessions) as session:
        neuron = Make(session).neuron(Make(session).subject())
        session.execute(text("SET LOCAL session_replication_role = replica"))
        session.execute(update(Neuron).where(Neuron.id == neuron.id).values(n_open_flags=1))
    monkeypatch.setenv("DATABASE_URL", fresh_database)
    result = CliRunner().invoke(cli, ["db", "recount"])
    assert result.exit_code == 0, result.output
    with transaction(fresh_sessions) as session:
        assert overview(session).subjects[0].n_flagged == 1
        assert_counts_are_true(session)
