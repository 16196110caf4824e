import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import Sessions
from app.domain.costs import Prices
from app.errors import Invalid
from app.models import LlmCall
from tests.fake_provider import FakeProvider
from tests.llm_server import LlmServer, certain
from worker.providers.base import ChatRequest, Message, ScoreTextRequest
from worker.providers.openai_compatible import EndpointSettings, OpenAICompatible
from worker.run.recording import DatabaseCalls, RecordingProvider
from worker.run.replay import replay, request_of_row

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
CHAT = ChatRequest("explain", (Message("user", "hello"),), 20, temperature=0.5, seed=7, json_schema=SCHEMA)
SCORED = ScoreTextRequest("simulate", "prefix\n", "a\t?\nb\t?\n", (9, 13))


def test_a_replayed_call_asks_the_same_and_shows_no_drift(session: Session, sessions: Sessions) -> None:
    with LlmServer() as server:
        provider = _recorded_once(server, sessions)
        chat, scored = session.scalars(select(LlmCall).order_by(LlmCall.id))
        assert replay(chat, provider).is_same
        drift = replay(scored, provider)
        provider.close()
    assert drift.is_same
    assert drift.largest_logprob_change == 0.0
    assert server.requests[2:] == server.requests[:2]


def test_a_model_that_answers_otherwise_shows_how_far(session: Session, sessions: Sessions) -> None:
    with LlmServer(numbers=lambda *_: {"0": -0.5, "1": -1.0}) as server:
        provider = _recorded_once(server, sessions)
        server.numbers = lambda *_: {"0": -0.75, "1": -0.9}
        _, scored = session.scalars(select(LlmCall).order_by(LlmCall.id))
        drift = replay(scored, provider)
        server.numbers = lambda *_: certain(3)
        assert not replay(scored, provider).is_same
        provider.close()
    assert drift.largest_logprob_change == pytest.approx(0.25)


def _recorded_once(server: LlmServer, sessions: Sessions) -> OpenAICompatible:
    provider = OpenAICompatible(EndpointSettings("loopback", "tiny", server.url, "", ("127.0.0.0/8",), concurrency=1))
    recording = RecordingProvider(provider, DatabaseCalls(sessions, None, "loopback", Prices()))
    recording.chat([CHAT])
    recording.score_texts([SCORED])
    return provider


def test_a_call_that_was_never_answered_cannot_be_replayed() -> None:
    call = LlmCall(id=1, step="simulate", request={"prompt": "x"}, reply=None)
    with pytest.raises(Invalid, match="has no reply"):
        replay(call, FakeProvider())


def test_a_request_of_a_row_has_a_step_of_its_own() -> None:
    call = LlmCall(id=4, step="explain", request={"messages": [], "max_tokens": 3}, reply=None)
    assert request_of_row(call).step == "replay/4/explain"
