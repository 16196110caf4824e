"""The whole pipeline with a real model: behind ``transformers serve``, which is not ours, and in the process."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from app.db import Sessions, transaction
from app.domain.language_models import Capability
from app.models import Explanation, LlmCall, Score
from tests.worker.llm_site import SETTINGS, Site, method_named
from tests.worker.served_model import save_model_with_two_answers, transformers_serve
from worker.providers.openai_compatible import EndpointSettings
from worker.run.probe import probe_endpoint
from worker.run.services import WorkerServices


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that has learned two answers by heart."""
    folder = tmp_path_factory.mktemp("served")
    save_model_with_two_answers(folder)
    return folder


@pytest.fixture(scope="module")
def served(model: Path) -> Iterator[tuple[str, str]]:
    """The server's base URL and the name it gives its model."""
    with transformers_serve(model) as url:
        yield url, str(model)


def test_a_neuron_is_explained_simulated_and_scored_through_it(
    served: tuple[str, str], fresh_sessions: Sessions
) -> None:
    url, name = served
    services = WorkerServices(SETTINGS, fresh_sessions)
    site = Site(fresh_sessions, services, url)
    subject_id, ids = site.neurons(1, always_at=2)
    site.provider(model=name, capabilities=["chat"], concurrency=1)
    site.enqueue(subject_id, ids, method_named("pairs-structured"))
    assert site.loop().run_one()
    assert site.counts() == {"succeeded": 1}
    with transaction(fresh_sessions) as session:
        explanation = session.scalars(select(Explanation.text)).one()
        headline = session.scalars(select(Score).where(Score.scorer == "correlation")).first()
        calls = session.scalars(select(LlmCall)).all()
    services.close()
    assert explanation == "the word import"
    assert headline is not None
    assert headline.value == pytest.approx(1.0)
    assert {call.outcome for call in calls} == {"ok"}
    assert all(call.returned_model and Path(name).name in call.returned_model for call in calls)


def test_a_probe_finds_that_it_chats_and_no_more(served: tuple[str, str]) -> None:
    url, name = served
    settings = EndpointSettings("served", name, url, "", ("127.0.0.0/8",))
    assert probe_endpoint(settings, {}).capabilities == {Capability.CHAT}


@pytest.mark.parametrize("name", ["pairs-all-at-once", "pairs-token-by-token", "pairs-structured"])
def test_the_same_goes_through_with_a_local_model(name: str, model: Path, fresh_sessions: Sessions) -> None:
    site = Site(fresh_sessions, WorkerServices(SETTINGS, fresh_sessions), "")
    subject_id, ids = site.neurons(1, always_at=2)
    capabilities = ["chat", "chat_logprobs", "prompt_logprobs"]
    site.provider(kind="local", model=str(model), base_url=None, capabilities=capabilities)
    site.enqueue(subject_id, ids, method_named(name))
    assert site.loop().run_one()
    assert site.counts() == {"succeeded": 1}
    with transaction(fresh_sessions) as session:
        headline = session.scalars(select(Score).where(Score.sample == "top_and_random")).first()
        calls = session.scalars(select(LlmCall)).all()
    assert headline is not None
    assert headline.n_valid + headline.n_failed == 10
    if name == "pairs-structured":
        assert headline.value == pytest.approx(1.0)
    if name == "pairs-all-at-once":
        assert sum(call.tokens_cached or 0 for call in calls) > sum(call.tokens_in or 0 for call in calls) / 2
