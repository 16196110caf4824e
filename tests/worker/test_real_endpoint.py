"""The whole pipeline against an OpenAI-compatible server that is not ours: ``transformers serve``."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from app.db import make_engine, make_sessions, transaction
from app.models import Explanation, LlmCall, Score
from tests.worker.llm_site import IMPORT, SETTINGS, Site, method_named
from tests.worker.served_model import save_model_with_two_answers, transformers_serve
from worker.providers.base import Capability
from worker.providers.openai_compatible import EndpointSettings
from worker.providers.probe import probe_endpoint
from worker.services import MethodBuilder


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The server's base URL and the name it gives its model."""
    folder = tmp_path_factory.mktemp("served")
    save_model_with_two_answers(folder)
    with transformers_serve(folder) as url:
        yield url, str(folder)


def test_a_neuron_is_explained_simulated_and_scored_through_it(served: tuple[str, str], fresh_database: str) -> None:
    url, model = served
    engine = make_engine(fresh_database)
    sessions = make_sessions(engine)
    builder = MethodBuilder(sessions, SETTINGS)
    site = Site(sessions, builder, url)
    subject_id, ids = site.neurons(1, tokens=[0, 1, IMPORT, 2, 3, 5])
    site.provider(model=model, capabilities=["chat"], concurrency=1)
    site.enqueue(subject_id, ids, method_named("pairs-structured"))
    assert site.loop().run_one()
    assert site.counts() == {"succeeded": 1}
    with transaction(sessions) as session:
        explanation = session.scalars(select(Explanation.text)).one()
        headline = session.scalars(select(Score).where(Score.scorer == "correlation")).first()
        calls = session.scalars(select(LlmCall)).all()
    builder.close()
    engine.dispose()
    assert explanation == "the word import"
    assert headline is not None
    assert headline.value == pytest.approx(1.0)
    assert {call.outcome for call in calls} == {"ok"}
    assert all(call.returned_model and Path(model).name in call.returned_model for call in calls)


def test_a_probe_finds_that_it_chats_and_no_more(served: tuple[str, str]) -> None:
    url, model = served
    settings = EndpointSettings("served", model, url, "", ("127.0.0.0/8",))
    assert probe_endpoint(settings, {}).capabilities == {Capability.CHAT}
