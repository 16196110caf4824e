"""Errors of endpoints over the wire: which are final, which are waited for, which cost one request alone."""

from typing import Any

import pytest

from app.domain.language_models import Outcome
from app.errors import ProviderError
from tests.llm_server import Answer, Behaviour, Body, Fail, LlmServer, Raw, raw_json
from tests.worker.endpoint import Leap, asks, settings_of
from worker.providers.base import chat_until_usable
from worker.providers.openai_compatible import OpenAICompatible


@pytest.mark.parametrize(
    ("body", "permanent", "said", "n_requests"),
    [
        (
            {"error": {"message": "Invalid API key", "code": 401}},
            True,
            "the key is missing or wrong .*Invalid API key",
            1,
        ),
        ({"object": "error", "message": "no such model", "code": 40401}, True, "no such model or address", 1),
        ([{"error": {"message": "bad argument", "code": 400}}], True, "bad argument", 1),
        ({"detail": "Not authenticated"}, True, "Not authenticated", 1),
        ({"error": {"message": "try later", "code": 503}}, False, "try later", 4),
        ({"error": {"message": "what?"}}, False, "error 502 in a reply with HTTP 200: what", 4),
        (
            {"choices": [{"finish_reason": "error", "error": {"code": 502, "message": "upstream"}}]},
            False,
            "upstream",
            4,
        ),
    ],
)
def test_an_error_with_status_200_is_taken_for_its_code(
    server: LlmServer, provider: OpenAICompatible, body: Any, permanent: bool, said: str, n_requests: int
) -> None:
    server.brain = lambda _body: raw_json(body)
    with pytest.raises(ProviderError, match=said) as caught:
        provider.chat([asks()])
    assert (caught.value.permanent, server.n_requests) == (permanent, n_requests)


def test_a_rate_limit_with_status_200_is_waited_for(server: LlmServer, provider: OpenAICompatible, leap: Leap) -> None:
    server.script.append(raw_json({"error": {"message": "slow down", "code": 429}}))
    (reply,) = provider.chat([asks()])
    assert (reply.outcome, server.n_requests) == (Outcome.OK, 2)
    assert provider.at_once == 4


@pytest.mark.parametrize(
    "failure",
    [
        raw_json({"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}, 429),
        Fail(402, "Insufficient Balance"),
        Raw(b'{"error": {"message": "no more today"}}', 429, headers={"x-should-retry": "false"}),
    ],
)
def test_a_quota_that_is_used_up_is_final_and_says_so(
    server: LlmServer, provider: OpenAICompatible, failure: Behaviour, leap: Leap
) -> None:
    server.brain = lambda _body: failure
    with pytest.raises(ProviderError, match=r"quota|Insufficient Balance|no more today") as caught:
        provider.chat([asks()])
    assert (caught.value.permanent, server.n_requests, leap.waits) == (True, 1, [])


def test_an_overload_that_does_not_pass_keeps_the_endpoints_words(server: LlmServer, leap: Leap) -> None:
    server.brain = lambda _body: Fail(429, "200 requests per day for this tier", headers={"retry-after": "40000"})
    provider = OpenAICompatible(settings_of(server), leap.clock)
    with pytest.raises(ProviderError, match="200 requests per day for this tier"):
        provider.chat([asks()])
    provider.close()


def test_a_server_that_asks_for_next_to_no_wait_is_not_asked_without_end(server: LlmServer, leap: Leap) -> None:
    server.brain = lambda _body: Fail(429, headers={"retry-after-ms": "1"})
    provider = OpenAICompatible(settings_of(server), leap.clock)
    with pytest.raises(ProviderError, match="429"):
        provider.chat([asks()])
    provider.close()
    assert server.n_requests < 40


def test_a_filtered_prompt_is_a_refusal_and_the_others_are_answered(
    server: LlmServer, provider: OpenAICompatible
) -> None:
    def filters(body: Body) -> Behaviour:
        if "bad" in body["messages"][0]["content"]:
            return raw_json({"error": {"message": "The prompt was filtered", "code": "content_filter"}}, 400)
        return Answer("words")

    server.brain = filters
    replies = provider.chat([asks("good"), asks("bad"), asks("fine")])
    assert [r.outcome for r in replies] == [Outcome.OK, Outcome.REFUSED, Outcome.OK]
    assert "The prompt was filtered" in str(replies[1].error)


def test_a_prompt_that_is_too_long_fails_alone_and_is_asked_once(server: LlmServer, provider: OpenAICompatible) -> None:
    def short(body: Body) -> Behaviour:
        if len(body["messages"][0]["content"]) > 100:
            return raw_json({"error": {"message": "too long", "code": "context_length_exceeded"}}, 400)
        return Answer("words")

    server.brain = short
    replies = chat_until_usable(provider, [asks("good"), asks("x" * 101)])
    assert [r.outcome for r in replies] == [Outcome.OK, Outcome.FAILED]
    assert server.n_requests == 2


def test_an_error_that_says_the_reply_was_cut_short_is_a_reply_cut_short(
    server: LlmServer, provider: OpenAICompatible
) -> None:
    words = "Could not finish the message because max_tokens or model output limit was reached."
    server.brain = lambda _body: Fail(400, words)
    (reply,) = provider.chat([asks()])
    assert (reply.outcome, server.n_requests) == (Outcome.TRUNCATED, 1)
    assert words in str(reply.error)
