"""The whole way: a queued neuron, an endpoint, a candidate with scores, provenance and cost."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date

import pytest
from sqlalchemy import func, select, update

from app.db import Sessions, transaction
from app.domain.activations import unpack_activations
from app.models import Batch, Explanation, LlmCall, Method, Neuron, Pause, Run, Score, Simulation
from app.queries.language_models.bill import bill
from app.queries.language_models.estimates import calls_per_run
from tests.llm_server import Answer, Behaviour, Body, Fail, LlmServer, certain
from tests.worker.llm_site import SETTINGS, Site, method_named
from worker.run.services import WorkerServices

FIRST_OF_EACH_SPLIT = 4


@dataclass
class Endpointed(Site):
    """A site whose language model is the loopback server."""

    server: LlmServer


@pytest.fixture
def site(fresh_sessions: Sessions) -> Iterator[Endpointed]:
    with LlmServer(brain=knows_imports, numbers=numbers) as server:
        services = WorkerServices(SETTINGS, fresh_sessions)
        yield Endpointed(fresh_sessions, services, server.url, server)
        services.close()


def knows_imports(body: Body) -> Behaviour:
    """An explainer and simulator that has understood the tests' neurons."""
    text = body["messages"][-1]["content"] if "messages" in body else ""
    if body.get("logprobs") and "messages" in body:
        return Answer("0", numbers=certain(10 if "⟦ import⟧" in text else 0))
    if "tokens." in text:
        lines = text.partition("⟪text⟫\n")[2].partition("\n⟪/text⟫")[0].split("\n")
        return Answer(json.dumps({"activations": [10 if line.endswith("\t import") else 0 for line in lines]}))
    return Answer(json.dumps({"explanation": 'the word " import"'}))


def numbers(prompt: str, at: int) -> Mapping[str, float]:
    return certain(10 if prompt[:at].endswith(" import\t") else 0)


@pytest.mark.parametrize("name", ["pairs-all-at-once", "pairs-token-by-token", "pairs-structured"])
def test_a_queued_neuron_gets_a_candidate_with_scores_provenance_and_cost(site: Endpointed, name: str) -> None:
    subject_id, (neuron_id,) = site.neurons(1)
    site.provider(price_in=1.0, price_out=2.0)
    site.enqueue(subject_id, [neuron_id], method_named(name))
    assert site.loop().run_one()
    assert site.counts() == {"succeeded": 1}
    with transaction(site.sessions) as session:
        explanation = session.scalars(select(Explanation)).one()
        headline = session.scalars(
            select(Score).where(Score.scorer == "correlation", Score.sample == "top_and_random")
        ).one()
        calls = session.scalars(select(LlmCall)).all()
        spent = session.scalars(select(Batch.spent)).one()
        current = session.get_one(Neuron, neuron_id).current_text
    assert explanation.text == current == 'the word " import"'
    assert headline.value == pytest.approx(1.0)
    assert headline.n_valid == 10
    assert headline.interval_low is not None
    assert headline.token_lookup_baseline == pytest.approx(1.0)
    assert len(calls) == site.server.n_requests
    assert {c.run_id for c in calls} == {explanation.run_id}
    assert {c.returned_model for c in calls} == {"tiny-0613"}
    assert spent > 0
    assert spent == pytest.approx(sum(c.price or 0 for c in calls))
    assert explanation.provenance["simulator"]["prompt"]["digest"]


def test_distributions_and_uncalibrated_values_are_stored(site: Endpointed) -> None:
    subject_id, ids = site.neurons(1)
    site.provider()
    site.enqueue(subject_id, ids, method_named("pairs-all-at-once"))
    site.loop().run_one()
    with transaction(site.sessions) as session:
        simulations = session.scalars(select(Simulation)).all()
    for simulation in simulations:
        assert simulation.simulator == "all_at_once+linear"
        assert simulation.distributions is not None
        assert simulation.uncalibrated is not None
        lengths = [6] * len(simulation.excerpt_ids)
        shares = unpack_activations(simulation.distributions, [11 * n for n in lengths])
        assert [row.reshape(6, 11).sum(axis=1) for row in shares] == [pytest.approx([1.0] * 6, abs=1e-3)] * 5
        uncalibrated = unpack_activations(simulation.uncalibrated, lengths)
        assert set(uncalibrated[0].tolist()) <= {0.0, 10.0}


def test_a_wrong_key_is_named_on_the_run(site: Endpointed) -> None:
    subject_id, ids = site.neurons(1)
    site.provider()
    site.server.brain = lambda _body: Fail(401, "incorrect API key")
    site.enqueue(subject_id, ids, method_named("pairs-structured"))
    site.loop().run_one()
    with transaction(site.sessions) as session:
        run = session.scalars(select(Run)).one()
    assert run.status == "failed"
    assert "incorrect API key" in (run.error or "")
    assert site.server.n_requests == 1


def test_a_missing_provider_is_named_on_the_run(site: Endpointed) -> None:
    subject_id, ids = site.neurons(1)
    site.enqueue(subject_id, ids, method_named("pairs-structured"))
    site.loop().run_one()
    with transaction(site.sessions) as session:
        assert "no provider called 'default'" in (session.scalars(select(Run.error)).one() or "")


def test_a_batch_stops_at_its_cap_with_the_reason(site: Endpointed) -> None:
    subject_id, ids = site.neurons(4)
    site.provider(price_in=1000.0)
    site.enqueue(subject_id, ids, method_named("pairs-structured"))
    with transaction(site.sessions) as session:
        session.execute(update(Batch).values(price_cap=20.0))
    loop = site.loop()
    while loop.run_one():
        pass
    assert site.counts()["cancelled"] >= 2
    with transaction(site.sessions) as session:
        reasons = set(session.scalars(select(Run.error).where(Run.status == "cancelled")))
        spent = session.scalars(select(Batch.spent)).one()
    assert spent <= 20.0
    assert len(reasons) == 1
    assert "cap of 20 is reached" in str(reasons)


def test_pulling_the_plug_in_the_middle_of_200_loses_nothing_and_pays_nothing_twice(site: Endpointed) -> None:
    subject_id, ids = site.neurons(200, records=FIRST_OF_EACH_SPLIT)
    site.provider(concurrency=2)
    plain = replace(method_named("pairs-structured"), parameters={"baselines": ["token_lookup"]})
    site.enqueue(subject_id, ids, plain)
    pulled_at = 301  # the middle of a run: each asks an explanation and two excerpts
    site.server.brain = lambda body: Fail(503, "pulled") if site.server.n_requests >= pulled_at else knows_imports(body)
    loop = site.loop()
    n_pauses = 0
    while site.counts() != {"succeeded": 200}:
        if not loop.run_one():
            n_pauses += site.count(Pause)
            site.server.brain = knows_imports
            time.sleep(0.01)
    with transaction(site.sessions) as session:
        outcomes = session.scalars(select(LlmCall.outcome)).all()
        n_wanted = session.execute(select(LlmCall.run_id, LlmCall.step).distinct()).all()
        n_attempts = session.scalars(select(func.sum(Run.attempt))).one()
    assert n_pauses > 0
    assert outcomes.count("failed") > 0
    assert outcomes.count("ok") == site.server.n_answered == len(n_wanted) == 200 * 3
    assert n_attempts == 0


def test_what_runs_needed_is_the_estimate_and_the_bill(site: Endpointed) -> None:
    subject_id, ids = site.neurons(2, records=FIRST_OF_EACH_SPLIT)
    site.provider(price_in=1000.0)
    site.enqueue(subject_id, ids, method_named("pairs-structured"))
    loop = site.loop()
    while loop.run_one():
        pass
    with transaction(site.sessions) as session:
        method_id = session.scalars(select(Method.id)).one()
        n_known, plan = calls_per_run(session, method_id=method_id)
        lines = {by: bill(session, by=by, since=date(2020, 1, 1)) for by in ("day", "provider", "method", "person")}
        total = session.scalars(select(func.sum(LlmCall.price))).one()
    assert plan is not None
    assert (n_known, plan.calls) == (2, site.server.n_requests / 2)
    assert [[(line.name, line.calls) for line in lines[by]] for by in ("provider", "method", "person")] == [
        [("default", site.server.n_requests)],
        [("pairs-structured", site.server.n_requests)],
        [("alice", site.server.n_requests)],
    ]
    assert [line.price for by in lines for line in lines[by]] == [pytest.approx(total)] * 4
