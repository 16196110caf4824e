import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db import Sessions, transaction
from app.domain.costs import Prices
from app.domain.language_models import Outcome
from app.errors import CapReached, ProviderError
from app.models import Account, Batch, LlmCall, Run, Spending
from app.work.enqueue import enqueue_batch
from tests.factories import Make
from tests.fake_provider import FakeProvider, reply
from tests.llm_server import Answer, Behaviour, Hang, LlmServer
from worker.providers.base import ChatRequest, Message, Reply, ScoreTextRequest, Usage, chat_until_usable
from worker.run.recording import DatabaseCalls, RecordingProvider

PRICES = Prices(tokens_in=2.0, tokens_cached=1.0, tokens_out=10.0)
FREE = Prices()
MILLION = 1_000_000


@dataclass(frozen=True)
class OnlyDigits:
    version: str = "digits/1"

    def check(self, reply: Reply) -> None:
        if not reply.text.isdigit():
            raise ValueError("not a number")


@pytest.fixture
def run(session: Session, make: Make) -> Run:
    return queued_run(session, make, n_neurons=3)


def queued_run(session: Session, make: Make, n_neurons: int) -> Run:
    subject = make.subject()
    ids = [make.neuron(subject, index=i).id for i in range(n_neurons)]
    alice = make.account("alice")
    batch = enqueue_batch(
        session, subject_id=subject.id, neuron_ids=ids, method_id=make.method().id, account_id=alice.id
    )
    return session.scalars(select(Run).where(Run.batch_id == batch.batch_id).order_by(Run.id).limit(1)).one()


def recording(inner: FakeProvider, sessions: Sessions, run: Run, prices: Prices = FREE) -> RecordingProvider:
    return RecordingProvider(inner, DatabaseCalls(sessions, run.id, "fake", prices))


def asks(step: str = "explain", **values: Any) -> ChatRequest:
    return ChatRequest(step=step, messages=(Message("user", f"about {step}"),), max_tokens=20, **values)


def calls(session: Session) -> list[LlmCall]:
    return list(session.scalars(select(LlmCall).order_by(LlmCall.id)))


def test_every_call_is_stored_with_all_that_it_was(session: Session, sessions: Sessions, run: Run) -> None:
    inner = FakeProvider(chat=lambda _r: reply("12", usage=Usage(MILLION, MILLION // 2, MILLION), model="fake-0613"))
    recording(inner, sessions, run, PRICES).chat([asks(parser=OnlyDigits())])
    (call,) = calls(session)
    assert (call.run_id, call.step, call.provider, call.outcome) == (run.id, "explain", "fake", "ok")
    assert (call.returned_model, call.parser_version, call.attempt) == ("fake-0613", "digits/1", 1)
    assert (call.tokens_in, call.tokens_cached, call.tokens_out) == (MILLION, MILLION // 2, MILLION)
    assert call.price == pytest.approx(0.5 * 2 + 0.5 * 1 + 10)
    assert call.reply == {"raw": {"text": "12"}, "text": "12", "alternatives": []}


def test_equal_requests_of_one_batch_are_made_once(session: Session, sessions: Sessions, run: Run) -> None:
    inner = FakeProvider(chat=lambda request: request.messages[0].content)
    replies = recording(inner, sessions, run).chat([asks("a"), asks("b"), asks("a")])
    assert [reply.text for reply in replies] == ["about a", "about b", "about a"]
    assert len(inner.asked) == len(calls(session)) == 2


def test_an_answered_call_is_not_made_again(sessions: Sessions, run: Run) -> None:
    first = FakeProvider(numbers=lambda _prompt, at: {"7": -0.25, "0": -float(at)})
    request = ScoreTextRequest("simulate/top/0", "prefix\n", "a\t?\n", (9,), ("0", "7"))
    (before,) = recording(first, sessions, run).score_texts([request])
    second = FakeProvider()
    (after,) = recording(second, sessions, run).score_texts([request])
    assert after == before
    assert second.asked == []


def test_another_question_in_the_same_step_is_asked(sessions: Sessions, run: Run) -> None:
    recording(FakeProvider(), sessions, run).chat([asks()])
    changed = FakeProvider()
    recording(changed, sessions, run).chat([asks(seed=1)])
    assert len(changed.asked) == 1


def test_an_unusable_reply_is_a_failed_attempt_with_its_text(session: Session, sessions: Sessions, run: Run) -> None:
    replies = iter(["seven", "7"])
    provider = recording(FakeProvider(chat=lambda _r: next(replies)), sessions, run)
    (last,) = chat_until_usable(provider, [asks(parser=OnlyDigits())])
    assert last.text == "7"
    assert [(c.outcome, c.error, c.step) for c in calls(session)] == [
        ("unparsable", "not a number", "explain"),
        ("ok", None, "explain/retry/1"),
    ]
    assert calls(session)[0].reply["text"] == "seven"  # type: ignore[index]  # it has one


def test_a_failed_reply_is_remembered_within_an_attempt_and_asked_again_by_a_retry(
    session: Session, sessions: Sessions, run: Run
) -> None:
    recording(FakeProvider(chat=lambda _r: reply(outcome=Outcome.REFUSED)), sessions, run).chat([asks()])
    resumed = FakeProvider()
    assert recording(resumed, sessions, run).chat([asks()])[0].outcome is Outcome.REFUSED
    run.attempt = 1
    session.flush()
    assert recording(resumed, sessions, run).chat([asks()])[0].outcome is Outcome.OK
    assert len(resumed.asked) == 1


def test_a_reply_with_characters_that_the_database_refuses_is_kept(
    session: Session, sessions: Sessions, run: Run
) -> None:
    recording(FakeProvider(chat=lambda _r: "nul \x00 and half \ud800"), sessions, run).chat([asks()])
    assert calls(session)[0].reply["text"] == "nul \u2400 and half \ufffd"  # type: ignore[index]  # it has one


def test_spending_is_added_to_batch_and_person(session: Session, sessions: Sessions, run: Run) -> None:
    inner = FakeProvider(chat=lambda _r: reply("x", usage=Usage(MILLION, 0, 0)))
    recording(inner, sessions, run, PRICES).chat([asks("a"), asks("b")])
    session.expire_all()
    assert session.get_one(Batch, run.batch_id).spent == pytest.approx(4.0)
    assert session.scalars(select(Spending.spent)).one() == pytest.approx(4.0)


def test_a_batch_stops_cleanly_at_its_cap(session: Session, sessions: Sessions, run: Run) -> None:
    session.get_one(Batch, run.batch_id).price_cap = 5.0
    session.flush()
    inner = FakeProvider(chat=lambda _r: reply("x", usage=Usage(MILLION, 0, 0)))
    provider = recording(inner, sessions, run, Prices(tokens_in=2.0, tokens_out=75_000.0))
    with pytest.raises(CapReached, match="cap of 5 is reached: 4") as stopped:
        provider.chat([asks(str(n)) for n in range(9)])
    more = float(str(stopped.value).removesuffix(" more.").rpartition(" ")[2])
    assert 4.0 + more > 5.0  # the two numbers explain the stop
    session.expire_all()
    assert len(inner.asked) == 2
    states = session.execute(select(Run.status, func.count(), func.min(Run.error)).group_by(Run.status)).all()
    assert [tuple(state) for state in states] == [("cancelled", 3, str(stopped.value))]


def test_a_person_stops_at_the_cap_of_the_day(session: Session, sessions: Sessions, make: Make) -> None:
    run = queued_run(session, make, n_neurons=1)
    alice = session.scalars(select(Account)).one()
    alice.price_cap_per_day = 1.0
    session.add(Spending(account_id=alice.id, day=datetime.now(UTC).date(), spent=1.0))
    session.flush()
    with pytest.raises(CapReached, match="a day is reached"):
        recording(FakeProvider(), sessions, run, PRICES).chat([asks()])


def test_after_kill_9_in_the_middle_no_stored_reply_is_requested_again(
    fresh_database: str, fresh_sessions: Sessions
) -> None:
    with transaction(fresh_sessions) as session:
        run_id = queued_run(session, Make(session), n_neurons=1).id
    with LlmServer(brain=hang_at(7)) as server:
        command = [sys.executable, "-m", "tests.worker.ask_endpoint", fresh_database, server.url, str(run_id), "20"]
        process = subprocess.Popen(command)
        assert server.wait_for(requests=7)
        process.kill()
        process.wait()
        server.brain = lambda _body: Answer("words")
        subprocess.run(command, check=True)
        asked = [body["messages"][0]["content"] for body in server.requests]
    assert asked == [f"number {n}" for n in [*range(7), *range(6, 20)]]


def hang_at(place: int) -> Callable[[dict[str, Any]], Behaviour]:
    numbers = iter(range(1, 1000))
    return lambda _body: Hang() if next(numbers) == place else Answer("words")


def test_an_outage_leaves_what_was_answered(fresh_sessions: Sessions) -> None:
    with transaction(fresh_sessions) as session:
        run_id = queued_run(session, Make(session), n_neurons=1).id
    told = iter(["a", "b"])

    def answer(_request: ChatRequest) -> str:
        try:
            return next(told)
        except StopIteration as error:
            raise ProviderError("down", permanent=False) from error

    store = DatabaseCalls(fresh_sessions, run_id, "fake", Prices())
    with pytest.raises(ProviderError, match="down"):
        RecordingProvider(FakeProvider(chat=answer), store).chat([asks(str(n)) for n in range(4)])
    later = FakeProvider()
    replies = RecordingProvider(later, store).chat([asks(str(n)) for n in range(4)])
    assert [r.text for r in replies] == ["a", "b", "words about cats", "words about cats"]
    assert [r.step for r in later.asked] == ["2", "3"]
