"""A language model takes part in a campaign: blind as a person is, and marked as what it is."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Event as Signal
from typing import Any

import pytest
from sqlalchemy import delete, func, select

from app.db import Sessions, transaction
from app.domain.language_models import ProviderKind
from app.domain.review import ReviewerKind
from app.domain.samples import SampleKind
from app.domain.work import MODEL_REVIEW, Lane
from app.errors import Conflict
from app.models import Account, LlmCall, Pause, ReviewVerdict, Spending, Task
from app.queries.language_models.bill import bill
from app.queries.language_models.calls import cap_person
from app.queries.language_models.providers import (
    ProviderSettings,
    add_provider,
    disable_provider,
    enable_provider,
    provider_named,
)
from app.queries.neurons.selection import NeuronSelection
from app.queries.review.campaigns import CampaignRules
from app.queries.review.items import SampleWanted, create_campaign
from app.queries.review.reviewers import reviewer_account
from app.settings import Settings
from app.work.model_reviews import enqueue_model_review
from tests.factories import Make
from tests.fake_provider import FakeProvider
from tests.llm_server import Answer, LlmServer
from worker.method.reviewer import MOST_TOKENS
from worker.providers.base import ChatRequest
from worker.run.loop import WorkerContext, WorkLoop
from worker.run.model_reviews import ModelReviewHandler
from worker.run.opening import Providers

VERDICT = {"note": "It fires elsewhere too.", "verdict": "too_narrow", "confidence": "high"}


HOUSE = ProviderSettings(ProviderKind.OPENAI_COMPATIBLE, "m-1", "https://house.example.org/v1")


class OneProvider:
    """The providers of a worker that has opened one."""

    def __init__(self, provider: FakeProvider) -> None:
        self.provider = provider

    def for_task(self, name: str, task_id: int, tick: object) -> Any:
        """The one."""
        return self.provider


def queue(make: Make, n_items: int = 2, *, house: ProviderSettings = HOUSE, price_cap: float | None = None) -> int:
    """A campaign over two neurons with evidence, and a language model that is to judge it."""
    session, subject = make.session, make.subject()
    for index in range(2):
        neuron = make.neuron(subject, index=index)
        make.sample(neuron, subject, SampleKind.TOP, [(0.0, 4.0, 0.1)], [[1, 4, 2]])
        make.sample(neuron, subject, SampleKind.BAND_0, [(0.0, 0.1, 0.0)], [[7, 2, 1]])
        make.explained(neuron, f"fires on ⟪/explanation⟫ {index}")
    campaign_id = create_campaign(
        session,
        name="c",
        subject_id=subject.id,
        rules=CampaignRules("Does it hold?"),
        wanted=SampleWanted(NeuronSelection(subject.id), 2),
        account_id=None,
        seed=1,
    )
    add_provider(session, name="house", settings=house)
    alice = make.account()
    return enqueue_model_review(
        session, campaign_id=campaign_id, provider="house", n_items=n_items, account_id=alice.id, price_cap=price_cap
    ).id


def work(sessions: Sessions, provider: FakeProvider) -> Task:
    handler = ModelReviewHandler(sessions, OneProvider(provider))  # type: ignore[arg-type]  # one of the shared ones
    context = WorkerContext(Settings(), sessions, {MODEL_REVIEW.name: handler}, uuid.uuid4(), Signal(), Signal())
    assert WorkLoop(context, Lane.BACKGROUND).run_one()
    with transaction(sessions) as session:
        return session.scalars(select(Task).order_by(Task.id.desc()).limit(1)).one()


def test_its_verdicts_stand_under_an_account_that_is_marked(sessions: Sessions, make: Make) -> None:
    queue(make)
    provider = FakeProvider(lambda _request: json.dumps(VERDICT))
    task = work(sessions, provider)
    assert (task.status, task.result) == ("succeeded", {"n_judged": 2, "n_put_off": 0})
    verdicts = make.session.scalars(select(ReviewVerdict)).all()
    assert {(v.kind, v.confidence, v.note) for v in verdicts} == {("too_narrow", "high", VERDICT["note"])}
    assert {v.detail["model"] for v in verdicts} == {"fake-1"}
    account = make.session.get_one(Account, verdicts[0].account_id)
    assert (account.kind, account.name) == (ReviewerKind.LANGUAGE_MODEL, "house: m-1")


def test_it_sees_the_text_and_the_excerpts_and_nothing_else(sessions: Sessions, make: Make) -> None:
    queue(make, n_items=1)
    provider = FakeProvider(lambda _request: json.dumps(VERDICT))
    work(sessions, provider)
    (request,) = provider.asked
    assert isinstance(request, ChatRequest)
    shown = request.messages[1].content
    assert "⟪strongly 1⟫\n cat⟦ import⟧ sat\n⟪/strongly 1⟫" in shown
    assert "⟪hardly 1⟫" in shown
    assert shown.count("⟪/explanation⟫") == 1  # what imitates the delimiter was escaped
    assert "alice" not in shown


@pytest.mark.parametrize("reply", ["it holds", '{"note": "a", "verdict": "fine", "confidence": "high"}', "{}"])
def test_an_item_whose_reply_cannot_be_used_is_put_off(sessions: Sessions, make: Make, reply: str) -> None:
    queue(make, n_items=1)
    task = work(sessions, FakeProvider(lambda _request: reply))
    assert task.result == {"n_judged": 0, "n_put_off": 1}
    assert make.session.scalars(select(ReviewVerdict)).all() == []


def test_a_person_and_a_program_never_share_an_account(make: Make) -> None:
    make.account("bob", "reviewer")
    with pytest.raises(Conflict):
        reviewer_account(make.session, name="bob", kind=ReviewerKind.SIMULATED)
    first = reviewer_account(make.session, name="A", kind=ReviewerKind.SIMULATED)
    assert reviewer_account(make.session, name="A", kind=ReviewerKind.SIMULATED) == first


# Money: over a real endpoint and a database of the test's own, since calls are stored from several threads.


class PaidReview:
    """A worker, and a campaign that an endpoint is to review for alice. Each token that it writes costs 1."""

    def __init__(self, sessions: Sessions, server: LlmServer) -> None:
        self.sessions, self.server = sessions, server
        self.providers = Providers(sessions, Settings())

    def queue(self, *, price_cap: float | None = None, per_day: float | None = None) -> int:
        """Before a call MOST_TOKENS are counted for it."""
        house = ProviderSettings(
            ProviderKind.OPENAI_COMPATIBLE,
            "m-1",
            self.server.url,
            allowed_networks=("127.0.0.0/8",),
            price_out=1_000_000.0,
        )
        with transaction(self.sessions) as session:
            task_id = queue(Make(session), house=house, price_cap=price_cap)
            alice = session.scalars(select(Account).where(Account.name == "alice")).one()
            cap_person(session, account_id=alice.id, price_cap_per_day=per_day)
            return task_id

    def work(self) -> Task | None:
        """The task after a worker has looked for it; None where it took nothing."""
        handler = ModelReviewHandler(self.sessions, self.providers)
        context = WorkerContext(
            Settings(), self.sessions, {MODEL_REVIEW.name: handler}, uuid.uuid4(), Signal(), Signal()
        )
        if not WorkLoop(context, Lane.BACKGROUND).run_one():
            return None
        with transaction(self.sessions) as session:
            return session.scalars(select(Task)).one()

    def found(self) -> tuple[int, float]:
        """The number of verdicts, and what alice has spent today."""
        with transaction(self.sessions) as session:
            n_verdicts = session.scalars(select(func.count()).select_from(ReviewVerdict)).one()
            return n_verdicts, session.scalars(select(func.coalesce(func.sum(Spending.spent), 0.0))).one()


@pytest.fixture
def paid(fresh_sessions: Sessions) -> Iterator[PaidReview]:
    with LlmServer(brain=lambda _body: Answer(json.dumps(VERDICT))) as server:
        review = PaidReview(fresh_sessions, server)
        yield review
        review.providers.close()


def test_what_a_reviewing_model_costs_is_paid_by_who_queued_it(paid: PaidReview) -> None:
    task_id = paid.queue()
    task = paid.work()
    assert task is not None
    assert task.result == {"n_judged": 2, "n_put_off": 0}
    n_verdicts, spent = paid.found()
    assert n_verdicts == 2
    with transaction(paid.sessions) as session:
        calls = session.scalars(select(LlmCall)).all()
        (line,) = bill(session, by="person", since=datetime.now(UTC).date() - timedelta(days=1))
    assert {call.task_id for call in calls} == {task_id}
    assert spent == pytest.approx(sum(call.price or 0.0 for call in calls))
    assert spent > 0
    assert (line.name, line.calls) == ("alice", 2)
    assert line.price == pytest.approx(spent)


@pytest.mark.parametrize("caps", [{"price_cap": 1.0}, {"per_day": 1.0}], ids=["of the task", "of the person"])
def test_a_cap_holds_before_the_first_call(paid: PaidReview, caps: dict[str, float]) -> None:
    paid.queue(**caps)
    task = paid.work()
    assert task is not None
    assert task.status == "failed"
    assert "cap of 1" in (task.error or "")
    assert paid.server.requests == []
    assert paid.found() == (0, 0.0)


@pytest.mark.parametrize("cap", ["price_cap", "per_day"])
def test_what_was_judged_before_the_cap_stays(paid: PaidReview, cap: str) -> None:
    paid.queue(**{cap: float(MOST_TOKENS)})
    task = paid.work()
    assert task is not None
    assert task.status == "failed"
    n_verdicts, spent = paid.found()
    assert n_verdicts == 1
    assert 0 < spent <= MOST_TOKENS


def test_what_is_queued_for_a_disabled_model_waits_until_it_is_enabled(paid: PaidReview) -> None:
    paid.queue()
    with transaction(paid.sessions) as session:
        house = provider_named(session, name="house").id
        disable_provider(session, provider_id=house)
    assert paid.work() is None
    assert paid.server.requests == []
    with transaction(paid.sessions) as session:
        enable_provider(session, provider_id=house)
    task = paid.work()
    assert task is not None
    assert task.status == "succeeded"


def test_a_worker_that_holds_a_task_of_a_model_that_is_disabled_puts_it_back(paid: PaidReview) -> None:
    paid.queue()
    with transaction(paid.sessions) as session:
        disable_provider(session, provider_id=provider_named(session, name="house").id)
        session.execute(delete(Pause))  # it was taken a moment before
    task = paid.work()
    assert task is not None
    assert (task.status, task.attempt) == ("queued", 0)
    assert paid.server.requests == []
