import logging
import os
import subprocess
import sys
import time

import pytest

from app.domain.language_models import Outcome
from app.errors import ProviderError
from tests.llm_server import Answer, Drop, Fail, HalfBody, Hang, Huge, LlmServer, certain
from tests.worker.endpoint import LOOPBACK, Leap, asks, settings_of, watched
from worker.providers import address, transport
from worker.providers.base import ScoreTextRequest, Watch, chat_until_usable
from worker.providers.openai_compatible import OpenAICompatible
from worker.providers.wire import Dialect


def test_a_chat_carries_key_model_and_parameters(server: LlmServer, provider: OpenAICompatible) -> None:
    (reply,) = provider.chat([asks(seed=7, top_logprobs=5, json_schema={"type": "string"})])
    assert (reply.outcome, reply.text, reply.model) == (Outcome.OK, '"a text"', "tiny-0613")
    assert server.headers[0]["authorization"] == "Bearer sesame"
    body = server.requests[0]
    assert (body["model"], body["seed"], body["top_logprobs"], body["max_tokens"]) == ("tiny", 7, 5, 20)
    assert body["response_format"]["json_schema"]["schema"] == {"type": "string"}


def test_replies_come_in_the_order_of_the_requests(server: LlmServer, provider: OpenAICompatible) -> None:
    server.latency = 0.01
    server.brain = lambda body: Answer(body["messages"][0]["content"])
    replies = provider.chat([asks(str(n)) for n in range(50)])
    assert [r.text for r in replies] == [str(n) for n in range(50)]
    assert 1 < server.most_at_once <= 8


def test_log_probabilities_of_a_chat_are_read(server: LlmServer, provider: OpenAICompatible) -> None:
    server.script.append(Answer("7", numbers=certain(7)))
    (reply,) = provider.chat([asks(top_logprobs=20)])
    assert reply.alternatives[0].token == "7"
    assert reply.alternatives[0].logprobs == certain(7)


@pytest.mark.parametrize("style", ["echo", "vllm"])
def test_prompt_log_probabilities_are_read_at_the_answers_positions(server: LlmServer, style: str) -> None:
    server.numbers = lambda prompt, start: certain(3) if prompt[start - 2] == "b" else certain(0)
    provider = OpenAICompatible(settings_of(server, dialect=Dialect(prompt_logprobs=style)))
    watch, seen = watched()
    (reply,) = provider.score_texts([ScoreTextRequest("s", "intro\n", "a\t?\nb\t?\n", (8, 12))], watch=watch)
    provider.close()
    assert [max(a.logprobs, key=a.logprobs.__getitem__) for a in reply.alternatives] == ["0", "3"]
    assert [a.token for a in reply.alternatives] == ["?", "?"]
    assert "logprobs" not in str(seen[0].raw)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_final_error_is_asked_once_and_names_its_cause(
    server: LlmServer, provider: OpenAICompatible, status: int
) -> None:
    server.script.append(Fail(status, "no such model: tiny"))
    with pytest.raises(ProviderError, match="no such model") as caught:
        provider.chat([asks()])
    assert (caught.value.permanent, server.n_requests) == (True, 1)


def test_an_overload_is_waited_for_and_lowers_concurrency(
    server: LlmServer, provider: OpenAICompatible, leap: Leap
) -> None:
    server.script.append(Fail(429, headers={"retry-after": "17"}))
    watch, seen = watched()
    (reply,) = provider.chat([asks()], watch=watch)
    assert reply.outcome is Outcome.OK
    assert leap.waits == [17.0]
    assert [a.reply.outcome for a in seen] == [Outcome.FAILED, Outcome.OK]
    assert provider.at_once == 4


def test_an_endpoint_that_is_always_overloaded_counts_as_down(server: LlmServer, leap: Leap) -> None:
    server.brain = lambda _body: Fail(429, headers={"retry-after": "100"})
    provider = OpenAICompatible(settings_of(server), leap.clock)
    with pytest.raises(ProviderError, match="429") as caught:
        provider.chat([asks()])
    provider.close()
    assert (caught.value.permanent, server.n_requests) == (False, 4)


@pytest.mark.parametrize("failure", [Fail(500), Fail(503), Drop()])
def test_passing_trouble_is_retried(
    server: LlmServer, provider: OpenAICompatible, failure: Fail | Drop, leap: Leap
) -> None:
    server.script.extend([failure, failure])
    (reply,) = provider.chat([asks()])
    assert (reply.outcome, server.n_requests) == (Outcome.OK, 3)
    assert len(leap.waits) == 2
    assert 0.25 <= leap.waits[0] <= 0.5 <= leap.waits[1] <= 1.0


def test_lasting_trouble_counts_as_down(server: LlmServer, provider: OpenAICompatible) -> None:
    server.brain = lambda _body: Fail(500, "broken")
    with pytest.raises(ProviderError, match="4 attempts failed") as caught:
        provider.chat([asks()])
    assert (caught.value.permanent, server.n_requests) == (False, 4)


def test_a_hanging_endpoint_is_given_up(server: LlmServer, leap: Leap) -> None:
    server.brain = lambda _body: Hang()
    provider = OpenAICompatible(settings_of(server, timeout_seconds=0.05, tries=2), leap.clock)
    with pytest.raises(ProviderError, match=r"no reply within 0\.05 s") as caught:
        provider.chat([asks()])
    provider.close()
    assert not caught.value.permanent


def test_half_a_body_is_a_failed_attempt_with_its_raw_text(server: LlmServer, provider: OpenAICompatible) -> None:
    server.script.append(HalfBody())
    watch, seen = watched()
    (reply,) = provider.chat([asks()], watch=watch)
    assert reply.outcome is Outcome.OK
    assert seen[0].reply.outcome is Outcome.UNPARSABLE
    assert seen[0].raw is not None
    assert seen[0].raw["text"].startswith('{"id"')


def test_a_body_that_never_parses_is_a_reply_and_no_outage(server: LlmServer, provider: OpenAICompatible) -> None:
    server.brain = lambda _body: HalfBody()
    (reply,) = chat_until_usable(provider, [asks()])
    assert (reply.outcome, server.n_requests) == (Outcome.FAILED, 4)
    assert "breaks off after" in str(reply.error)


def test_refused_and_truncated_replies_say_so(server: LlmServer, provider: OpenAICompatible) -> None:
    server.script.extend([Answer("", refusal="I will not"), Answer("half a sen", finish_reason="length")])
    (refused,) = provider.chat([asks()])
    (cut,) = provider.chat([asks()])
    assert (refused.outcome, refused.error) == (Outcome.REFUSED, "I will not")
    assert (cut.outcome, cut.text) == (Outcome.TRUNCATED, "half a sen")


def test_an_oversized_reply_is_cut_off(
    server: LlmServer, provider: OpenAICompatible, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "LONGEST_REPLY_BYTES", 1000)
    server.brain = lambda _body: Huge(100_000)
    with pytest.raises(ProviderError, match="more than 1000 bytes"):
        provider.chat([asks()])


def test_a_redirect_is_not_followed(server: LlmServer, provider: OpenAICompatible) -> None:
    server.script.append(Fail(307, headers={"location": "http://127.0.0.1:9/v1"}))
    with pytest.raises(ProviderError, match="redirect") as caught:
        provider.chat([asks()])
    assert (caught.value.permanent, server.n_requests) == (True, 1)


def test_private_addresses_are_refused_unless_listed(server: LlmServer) -> None:
    with pytest.raises(ProviderError, match="not a public address") as caught:
        OpenAICompatible(settings_of(server, allowed_networks=()))
    assert caught.value.permanent
    with pytest.raises(ProviderError, match="not a public address"):
        address.locate("http://169.254.169.254/latest", LOOPBACK)


def test_nothing_new_goes_out_after_a_failure_but_what_is_in_flight_is_stored(
    server: LlmServer, provider: OpenAICompatible
) -> None:
    server.script.append(Fail(401, "wrong key"))
    watch, seen = watched()
    with pytest.raises(ProviderError, match="wrong key"):
        provider.chat([asks() for _ in range(500)], watch=watch)
    assert server.n_requests == len(seen) < 500


@pytest.mark.parametrize("limit", ["requests_per_minute", "tokens_per_minute"])
def test_what_may_go_in_a_minute_is_kept_to(server: LlmServer, limit: str) -> None:
    provider = OpenAICompatible(settings_of(server, **{limit: 62 * 100}))
    n_sent = 110 if limit == "requests_per_minute" else 20
    started = time.monotonic()
    provider.chat([asks() for _ in range(n_sent)])
    provider.close()
    spent = n_sent if limit == "requests_per_minute" else (n_sent - 1) * (1 + 5)  # one word in, five tokens out
    at_once = 100
    assert time.monotonic() - started >= 0.99 * (spent - at_once) / 100


def test_the_cap_is_checked_before_every_call(server: LlmServer, provider: OpenAICompatible) -> None:
    def refuse(_request: object) -> None:
        raise ProviderError("the cap is reached", permanent=True)

    with pytest.raises(ProviderError, match="cap"):
        provider.chat([asks()], watch=Watch(before=refuse))
    assert server.n_requests == 0


def test_the_key_is_never_shown(server: LlmServer) -> None:
    assert "sesame" not in repr(settings_of(server))


def test_nothing_of_the_environment_is_sent_along(server: LlmServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID", "WEBHOOK_SECRET", "API_VERSION", "API_TYPE"):
        monkeypatch.setenv(f"OPENAI_{name}", "not-for-you")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/not-for-you")
    names = ("x-secret", "authorization", "Authorization", "content-type", "HOST", "user-agent", "accept", "cookie")
    lines = [*(f"{name}: not-for-you" for name in names), "content-length: 3", "transfer-encoding: chunked"]
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "\n".join([*lines, "accept-encoding: gzip", "connection: close"]))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    provider = OpenAICompatible(settings_of(server, key=""))
    (reply,) = provider.chat([asks()])
    provider.close()
    assert reply.outcome is Outcome.OK
    (headers,) = server.headers
    assert {name: value for name, value in headers.items() if name not in ("content-length", "host")} == {
        "accept": "application/json",
        "accept-encoding": "identity",
        "authorization": "Bearer none",
        "content-type": "application/json",
        "user-agent": "neuron-audit",
    }
    assert headers["host"] in server.url


def test_the_log_level_of_the_environment_does_not_show_calls() -> None:
    code = (
        "import logging; from worker.providers.address import Endpoint; from worker.providers.client import *;"
        "open_client(Endpoint('http://h/v1', 'h', ('127.0.0.1',)), key='', timeout_seconds=1, connections=1);"
        "print(logging.getLogger('openai').getEffectiveLevel())"
    )
    environment = {**os.environ, "OPENAI_LOG": "debug"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True, text=True)
    assert done.stdout.strip() == str(logging.WARNING)


def test_a_burst_of_overloads_halves_once_and_success_raises_again(
    server: LlmServer, provider: OpenAICompatible
) -> None:
    server.latency = 0.01
    server.script.extend([Fail(429, headers={"retry-after": "1"})] * 8)
    provider.chat([asks() for _ in range(8)])
    lowered = provider.at_once
    server.latency = 0.0
    provider.chat([asks() for _ in range(60)])
    assert lowered in (4, 5)
    assert provider.at_once == 8
