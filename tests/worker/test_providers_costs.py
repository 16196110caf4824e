"""Endpoints that report no token counts: what their calls cost is estimated, counted towards caps, and marked."""

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from sqlalchemy import select, update

from app.db import Sessions, transaction
from app.domain.costs import Prices
from app.domain.language_models import Outcome
from app.models import Batch, LlmCall, Run
from app.queries.language_models.bill import bill
from app.queries.language_models.estimates import calls_per_run
from app.queries.runs.progress import batch_summary
from tests.fake_provider import reply
from tests.llm_server import Answer, Body, Edited, LlmServer, raw_json
from tests.worker.endpoint import asks
from tests.worker.llm_site import SETTINGS, Site, method_named
from worker.providers.base import Reply, ScoreTextRequest, Usage
from worker.run.recording import estimated_usage, guessed_price
from worker.run.services import WorkerServices


@pytest.fixture
def site(fresh_sessions: Sessions) -> Iterator[tuple[Site, LlmServer]]:
    with LlmServer(brain=lambda body: Edited(without_usage, answer(body))) as server:
        services = WorkerServices(SETTINGS, fresh_sessions)
        site = Site(fresh_sessions, services, server.url)
        site.provider(capabilities=["chat"], price_in=1000.0, price_out=1000.0)
        yield site, server
        services.close()


def without_usage(body: Body) -> Body:
    return {name: value for name, value in body.items() if name != "usage"}


def answer(body: Body) -> Answer:
    """An explanation, or as many zeros as there are tokens."""
    asked = body["messages"][-1]["content"]
    if "tokens." not in asked:
        return Answer('{"explanation": "the word import"}')
    n = asked.rpartition("\n")[2].split()[0]
    return Answer(json.dumps({"activations": [0] * int(n)}))


def run_all(site: Site, n: int) -> None:
    subject_id, ids = site.neurons(n, records=4)
    site.enqueue(subject_id, ids, method_named("pairs-structured"))
    while site.loop().run_one():
        pass


def test_calls_without_token_counts_are_estimated_and_marked_everywhere(site: tuple[Site, LlmServer]) -> None:
    here, _ = site
    run_all(here, 1)
    assert here.counts() == {"succeeded": 1}
    with transaction(here.sessions) as session:
        calls = session.scalars(select(LlmCall)).all()
        batch = batch_summary(session, batch_id=session.scalars(select(Batch.id)).one())
        (line,) = bill(session, by="provider", since=date(2020, 1, 1))
        _, plan = calls_per_run(session, method_id=session.scalars(select(Run.method_id)).one())
    assert {call.is_estimated for call in calls} == {True}
    assert all(call.tokens_in and call.tokens_out and call.price for call in calls)
    assert batch.spent == batch.spent_estimated == pytest.approx(sum(call.price or 0 for call in calls))
    assert line.price == line.price_estimated == pytest.approx(batch.spent)
    assert plan is not None
    assert plan.tokens_in > 0


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": -1, "completion_tokens": 5}, {"completion_tokens": 10**18}])
def test_a_cap_holds_for_an_endpoint_without_usable_counts(site: tuple[Site, LlmServer], usage: Any) -> None:
    here, server = site
    server.brain = lambda body: Edited(lambda whole: {**whole, "usage": usage}, answer(body))
    subject_id, ids = here.neurons(4, records=4)
    here.enqueue(subject_id, ids, method_named("pairs-structured"))
    with transaction(here.sessions) as session:
        session.execute(update(Batch).values(price_cap=15.0))
    while here.loop().run_one():
        pass
    with transaction(here.sessions) as session:
        batch = session.scalars(select(Batch)).one()
        reasons = session.scalars(select(Run.error).where(Run.status == "cancelled")).all()
    assert 0 < batch.spent <= 15.0
    assert here.counts().get("cancelled", 0) >= 1
    assert batch.spent == batch.spent_estimated
    assert "of it by our estimate" in str(reasons)


def test_counts_that_are_reported_are_charged_as_they_are(site: tuple[Site, LlmServer]) -> None:
    here, server = site
    server.brain = answer
    run_all(here, 1)
    with transaction(here.sessions) as session:
        batch = session.scalars(select(Batch)).one()
    assert batch.spent > 0
    assert batch.spent_estimated == 0


def test_an_error_is_not_charged_and_a_reply_that_cannot_be_read_is(site: tuple[Site, LlmServer]) -> None:
    here, server = site
    server.script.extend([raw_json({"error": {"message": "try later"}}, 503), raw_json({"choices": []})])
    run_all(here, 1)
    with transaction(here.sessions) as session:
        first, second = session.scalars(select(LlmCall).order_by(LlmCall.id).limit(2))
    assert (first.outcome, first.price, first.is_estimated) == ("failed", None, False)
    assert (second.outcome, second.is_estimated) == ("unparsable", True)
    assert second.price


@pytest.mark.parametrize(
    ("given", "usage"),
    [
        (reply("12345", usage=None), Usage(2, 0, 3)),
        (reply("12345", usage=None, reasoning="1" * 10), Usage(2, 0, 8)),
        (reply("1" * 1000, usage=None), Usage(2, 0, 20)),
        (reply("", Outcome.UNPARSABLE, usage=None), Usage(2, 0, 20)),
    ],
)
def test_an_estimate_counts_characters_up_to_the_most_tokens(given: Reply, usage: Usage) -> None:
    assert estimated_usage(asks("hello"), given) == usage


def test_a_scored_text_is_read_and_nothing_is_written() -> None:
    assert estimated_usage(ScoreTextRequest("s", "1234", "56", (0,)), reply("", usage=None)) == Usage(3, 0, 1)


def test_a_price_is_reserved_before_a_call_as_high_as_it_may_become() -> None:
    prices = Prices(tokens_in=1_000_000, tokens_out=1_000_000)
    estimate = estimated_usage(asks("hello"), reply("1" * 1000, usage=None))
    assert guessed_price(asks("hello"), prices) == prices.of(estimate.tokens_in, 0, estimate.tokens_out)
