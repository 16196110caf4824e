"""What language models have cost, summed up from calls that were stored as workers store them."""

import uuid
from datetime import date, timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.language_models import Outcome
from app.models import Account, CallCount, Method, Neuron
from app.queries.language_models.bill import BillBy, bill
from app.queries.language_models.calls import Call, store_call
from app.work.begin import Taker, begin_run
from app.work.enqueue import enqueue_batch
from tests.db.leased import HOUR
from tests.factories import Make


def day_of(session: Session) -> date:
    """The day on which the calls were stored."""
    return session.scalars(select(func.min(CallCount.day))).one()


def call(
    price: float | None, tokens: tuple[int, int, int] | None, *, provider: str = "hosted", is_estimated: bool = False
) -> Call:
    return Call(
        step="explain",
        request_digest="d",
        provider=provider,
        request={},
        reply=None,
        returned_model=None,
        parser_version=None,
        outcome=Outcome.FAILED if tokens is None else Outcome.OK,
        error=None,
        attempt=1,
        tokens=tokens,
        is_estimated=is_estimated,
        price=price,
        latency_seconds=0.5,
    )


@pytest.fixture
def spent(session: Session, make: Make) -> Session:
    """Alice's run made three calls, one of which got no answer; bob's run of another method one; one was for no run."""
    subject = make.subject()
    for person, name, calls in (
        ("alice", "written", [call(0.5, (100, 40, 10)), call(0.25, (60, 0, 5), is_estimated=True), call(None, None)]),
        ("bob", "cheap", [call(0.125, (30, 0, 3), provider="local")]),
    ):
        run_id = begun(session, make.account(person), make.method(name), make.neuron(subject, index=len(calls)))
        for each in calls:
            store_call(session, run_id=run_id, call=each)
    store_call(session, run_id=None, call=call(0.0625, (8, 0, 1)))
    return session


def begun(session: Session, account: Account, method: Method, neuron: Neuron) -> int:
    """A run that a worker has begun for a person."""
    enqueue_batch(
        session, subject_id=neuron.subject_id, neuron_ids=[neuron.id], method_id=method.id, account_id=account.id
    )
    lease = begin_run(session, taker=Taker(uuid.uuid4(), uuid.uuid4(), HOUR))
    assert lease is not None
    return lease.id


@pytest.mark.parametrize(
    ("by", "lines"),
    [
        ("person", [("alice", 3, 0.75), ("bob", 1, 0.125), ("none", 1, 0.0625)]),
        ("method", [("written", 3, 0.75), ("cheap", 1, 0.125), ("none", 1, 0.0625)]),
        ("provider", [("hosted", 4, 0.8125), ("local", 1, 0.125)]),
        ("day", [("", 5, 0.9375)]),
    ],
)
def test_the_bill_sums_up_calls_by_what_they_were_for(
    spent: Session, by: BillBy, lines: list[tuple[str, int, float]]
) -> None:
    day = day_of(spent)
    found = bill(spent, by=by, since=day, until=day)
    assert [(line.name, line.calls, line.price) for line in found] == [
        (name or str(day), *rest) for name, *rest in lines
    ]


def test_tokens_and_the_estimated_part_of_the_price_are_summed_up_too(spent: Session) -> None:
    alice = bill(spent, by="person", since=day_of(spent))[0]
    assert (alice.tokens_in, alice.tokens_cached, alice.tokens_out) == (160, 40, 15)
    assert alice.price_estimated == 0.25


def test_both_days_are_included_and_others_are_not(spent: Session) -> None:
    today, day = day_of(spent), timedelta(days=1)
    assert len(bill(spent, by="day", since=today - day, until=today)) == 1
    assert bill(spent, by="day", since=today - 2 * day, until=today - day) == []
    assert bill(spent, by="day", since=today + day, until=today + 2 * day) == []
