"""Explainers that choose and scorers that ask, from a queued neuron to stored scores, over HTTP."""

import json
import re
from collections.abc import Iterator

import pytest
from sqlalchemy import select

from app.db import Sessions, transaction
from app.models import Explanation, LlmCall, Run, Score
from tests.llm_server import Answer, Behaviour, Body, LlmServer
from tests.worker.llm_site import SETTINGS, Site, method_named
from worker.run.services import WorkerServices


def knows_imports(body: Body) -> Behaviour:
    """Explains, simulates and judges neurons that fire on the token " import", and replies in the requested schema."""
    text: str = body["messages"][-1]["content"]
    wanted = body["response_format"]["json_schema"]["schema"]["properties"]
    if "ratings" in wanted:
        excerpts = re.findall(r"⟪excerpt \d+⟫\n(.*)\n", text)
        marked = [re.findall("⟦(.*?)⟧", e) if "⟦" in e else [e] for e in excerpts]
        return Answer(json.dumps({"ratings": [10 * any(" import" in m for m in parts) for parts in marked]}))
    if "activations" in wanted:
        lines = text.partition("⟪text⟫\n")[2].partition("\n⟪/text⟫")[0].split("\n")
        return Answer(json.dumps({"activations": [10 if line.endswith("\t import") else 0 for line in lines]}))
    return Answer(json.dumps({"explanation": 'the word " import"'}))


@pytest.fixture
def site(fresh_sessions: Sessions) -> Iterator[Site]:
    with LlmServer(brain=knows_imports) as server:
        services = WorkerServices(SETTINGS, fresh_sessions)
        yield Site(fresh_sessions, services, server.url)
        services.close()


@pytest.mark.parametrize("name", ["highlighted-all-scores", "best-of-4"])
def test_every_score_is_stored_with_interval_counts_and_baselines(site: Site, name: str) -> None:
    subject_id, (neuron_id, _) = site.neurons(2)
    site.provider()
    site.enqueue(subject_id, [neuron_id], method_named(name))
    assert site.loop().run_one()
    with transaction(site.sessions) as session:
        assert session.scalars(select(Run.error)).one() is None
        (explanation,) = session.scalars(select(Explanation)).all()
        scores = {(s.scorer, s.sample): s for s in session.scalars(select(Score))}
        calls = session.scalars(select(LlmCall)).all()
    assert explanation.text == 'the word " import"'
    for scorer in ("detection", "detection_auc"):
        detection = scores[scorer, "top_and_random"]
        assert (detection.value, detection.interval_high) == (1.0, 1.0)
        assert detection.interval_low is not None
        assert 0.6 < detection.interval_low < 0.7
        assert (detection.chance, detection.n_failed) == (0.5, 0)
        assert detection.token_lookup_baseline == 1.0
        assert detection.shuffled_baseline == 1.0  # the other neuron is the same in this test
    assert scores["fuzzing", "top"].value == 1.0
    assert scores["explained_variance", "top_and_random"].value == pytest.approx(1.0, abs=1e-3)
    steps = {call.step.split("/")[0] for call in calls}
    assert steps == {"explain", "simulate", "detect", "fuzz"}
    assert {call.parser_version for call in calls} > {"explanation/1", "ratings/1/5"}
    assert {call.outcome for call in calls} == {"ok"}


def test_without_look_alikes_a_contrastive_run_fails_with_the_reason(site: Site) -> None:
    subject_id, ids = site.neurons(1)
    site.provider()
    site.enqueue(subject_id, ids, method_named("contrastive"))
    site.loop().run_one()
    with transaction(site.sessions) as session:
        assert "no hard negatives" in (session.scalars(select(Run.error)).one() or "")
