"""What a probe finds out about servers of all kinds, over the wire."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from app.domain.language_models import Capability
from app.errors import ProviderError
from tests.llm_server import (
    Answer,
    Behaviour,
    Body,
    Drop,
    Edited,
    Fail,
    HalfBody,
    LlmServer,
    Raw,
    certain,
    plain_brain,
    raw_json,
    tokens_of,
)
from tests.worker.endpoint import settings_of
from worker.providers.wire import Dialect
from worker.run.probe import Probe, probe_endpoint

Brain = Callable[[Body], Behaviour]
PROMPT, CHAT = Capability.PROMPT_LOGPROBS, Capability.CHAT_LOGPROBS


def able(body: Body) -> Behaviour:
    """A server that can do everything."""
    if body.get("logprobs"):
        return Answer("10", numbers=certain(10))
    return Answer('{"number": 7}') if "response_format" in body else plain_brain(body)


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with LlmServer(brain=able) as running:
        yield running


def probed(server: LlmServer, brain: Brain | None = None, options: Mapping[str, Any] | None = None) -> Probe:
    server.brain = brain or server.brain
    return probe_endpoint(settings_of(server), options or {})


def test_a_server_that_can_do_everything_needs_no_options(server: LlmServer) -> None:
    found = probed(server)
    assert (found.capabilities, found.options, found.missing, found.remarks) == (frozenset(Capability), {}, {}, ())
    assert [m["role"] for m in server.requests[0]["messages"]] == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Raw(b"<html><title>login</title></html>", content_type="text/html"), 'a web page titled "login"'),
        (raw_json({"error": {"message": "no access", "code": 403}}), "no access"),
        (raw_json({"error": "upstream is asleep"}), "upstream is asleep"),
        (Answer(""), "the reply is empty"),
        (Answer(" \n "), "the reply is empty"),
        (Raw(b""), "has no body"),
        (Raw(b"data: {}\n\n", content_type="text/event-stream"), "an event stream"),
        (raw_json({"status": "ok"}), "without choices: it holds status"),
        (HalfBody(), "breaks off"),
        (Fail(404, "Not Found"), "no such model or address"),
        (Fail(401, "bad key"), "bad key"),
        (Fail(500, "broken"), "broken"),
    ],
)
def test_what_only_looks_like_a_chat_is_no_chat(server: LlmServer, reply: Behaviour, said: str) -> None:
    with pytest.raises(ProviderError, match=said):
        probed(server, lambda _body: reply)


@pytest.mark.parametrize(
    "refusal",
    [
        raw_json(
            {
                "object": "error",
                "message": {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]},
            },
            422,
        ),
        raw_json({"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs"}]}, 422),
        raw_json({"error": {"message": "Unsupported parameter", "param": "seed"}}, 400),
        Fail(400, "Unrecognized request argument supplied: seed"),
    ],
)
def test_a_refused_field_is_learned_wherever_it_is_named(server: LlmServer, refusal: Behaviour) -> None:
    found = probed(server, lambda body: refusal if "seed" in body else able(body))
    assert found.options == {"omit": ["seed"]}
    assert found.capabilities == frozenset(Capability)
    assert any("seed" in remark for remark in found.remarks)


def test_several_refused_fields_are_learned_at_once_or_one_by_one(server: LlmServer) -> None:
    def picky(body: Body) -> Behaviour:
        if "max_tokens" in body:
            return Fail(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        named = [{"loc": ["body", field], "msg": "no"} for field in ("temperature", "seed") if field in body]
        return raw_json({"detail": named}, 422) if named else able(body)

    found = probed(server, picky)
    assert found.options == {"length_field": "max_completion_tokens", "omit": ["seed", "temperature"]}


def refuses_system(status: int, words: str) -> Brain:
    def brain(body: Body) -> Behaviour:
        roles = [m["role"] for m in body.get("messages", ())]
        if "system" in roles:
            return Fail(status, words)
        if roles and roles != ["user", "assistant"] * (len(roles) // 2) + ["user"]:
            return Fail(400, "Conversation roles must alternate user/assistant/user/assistant/...")
        return able(body)

    return brain


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "System role not supported"),
        (422, "Only user and assistant roles are supported!"),
        (500, "Jinja Exception: Conversation roles must alternate"),
        (400, "Value error"),
    ],
)
def test_a_model_without_a_system_role_gets_instructions_in_the_first_message(
    server: LlmServer, status: int, words: str
) -> None:
    found = probed(server, refuses_system(status, words))
    assert found.options == {"system": "fold"}
    assert found.capabilities == frozenset(Capability)
    folded = next(b["messages"] for b in server.requests if b.get("messages", [{}])[0].get("role") == "user")
    assert folded[0]["content"].startswith("You name the opposite")
    assert folded[0]["content"].endswith("hot")


def test_a_role_and_fields_that_are_refused_together_are_learned_one_after_the_other(server: LlmServer) -> None:
    def picky(body: Body) -> Behaviour:
        if any(m["role"] == "system" for m in body.get("messages", ())):
            return Fail(400, "System role not supported")
        if "seed" in body:
            return raw_json({"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}, 422)
        refusal = Fail(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        return refusal if "max_tokens" in body and "messages" in body else able(body)

    found = probed(server, picky)
    assert found.options == {"length_field": "max_completion_tokens", "omit": ["seed"], "system": "fold"}
    assert found.capabilities == frozenset(Capability)


def test_an_endpoint_that_goes_down_after_a_refusal_is_down(server: LlmServer) -> None:
    with pytest.raises(ProviderError, match="down or overloaded") as caught:
        probed(server, lambda _body: Fail(400, "System role not supported") if server.n_requests == 1 else Drop())
    assert not caught.value.permanent


def test_a_refusal_that_no_form_of_the_request_avoids_is_the_first_that_was_given(server: LlmServer) -> None:
    with pytest.raises(ProviderError, match="number 1"):
        probed(server, lambda _body: Fail(400, f"refusal number {server.n_requests}"))


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        ("top_logprobs must be between 0 and 5", 5),
        ("top_logprobs must be less than or equal to 8", 8),
        ("Requested sample logprobs of 20, which is greater than max allowed: 5", 5),
        ("too many", 5),
    ],
)
def test_fewer_alternatives_are_learned(server: LlmServer, words: str, limit: int) -> None:
    def modest(body: Body) -> Behaviour:
        return Fail(400, words) if body.get("top_logprobs", 0) > limit else able(body)

    found = probed(server, modest)
    assert found.options == {"chat_alternatives": limit}
    assert CHAT in found.capabilities
    assert f"{CHAT}: at most {limit} alternatives per token." in found.remarks


def test_fewer_alternatives_of_a_prompt_are_learned_for_themselves(server: LlmServer) -> None:
    def modest(body: Body) -> Behaviour:
        return Fail(400, "maximum is 5") if body.get("echo") and body["logprobs"] > 5 else able(body)

    found = probed(server, modest)
    assert found.options == {"prompt_alternatives": 5}
    assert PROMPT in found.capabilities


def test_alternatives_of_the_chosen_token_alone_are_none(server: LlmServer) -> None:
    def lone(reply: Body) -> Body:
        for entry in reply["choices"][0]["logprobs"]["content"]:
            entry["top_logprobs"] = []
        return reply

    found = probed(server, lambda body: Edited(lone, Answer("10")) if "top_logprobs" in body else able(body))
    assert CHAT not in found.capabilities
    assert "only the chosen token" in found.missing[CHAT]


def test_a_model_that_thinks_first_is_given_room_and_no_first_token_is_read(server: LlmServer) -> None:
    def thinks(body: Body) -> Behaviour:
        if "prompt" in body:
            return able(body)
        room = body["max_tokens"] > 100
        answer = '{"number": 7}' if "response_format" in body else "small"
        text = f"<think>well</think>{answer}" if room else "<think>well"
        return Answer(text, finish_reason="stop" if room else "length", numbers={"<": -0.1, "10": -2.0})

    found = probed(server, thinks)
    assert {Capability.CHAT, Capability.JSON_SCHEMA, PROMPT} <= found.capabilities
    assert "thinks first" in found.missing[CHAT]
    assert any("max_tokens" in remark for remark in found.remarks)


def test_a_model_that_reasons_out_of_sight_gets_more_tokens(server: LlmServer) -> None:
    def hides(body: Body) -> Behaviour:
        if "messages" in body and body["max_tokens"] <= 100:
            return Fail(400, "Could not finish the message because max_tokens or model output limit was reached.")
        return able(body)

    found = probed(server, hides)
    assert {Capability.CHAT, Capability.JSON_SCHEMA, PROMPT} <= found.capabilities
    assert "thinks first" in found.missing[CHAT]


def test_a_schema_that_is_ignored_is_no_capability(server: LlmServer) -> None:
    found = probed(server, lambda body: Answer("7") if "response_format" in body else able(body))
    assert found.missing == {Capability.JSON_SCHEMA: "the reply does not follow the schema"}


def refuses_echo(body: Body) -> Behaviour:
    """As llama.cpp's own server does."""
    return (
        raw_json({"error": {"code": 500, "message": "Only no echo is supported"}}, 500)
        if body.get("echo")
        else able(body)
    )


def generated_only(reply: Body) -> Body:
    """As llama.cpp's own server answers without ``echo``: the one token that was generated, in a chat's form."""
    entry = {"token": "x", "logprob": -0.1, "top_logprobs": [{"token": "x", "logprob": -0.1}]}
    reply["choices"][0] |= {"text": "x", "logprobs": {"content": [entry]}, "prompt_logprobs": None}
    return reply


def generated_only_as_completions(reply: Body) -> Body:
    reply["choices"][0]["logprobs"] = {"tokens": ["\n"], "top_logprobs": [{"\n": -0.1, " ": -2.0}]}
    return reply


def without_prompt_alternatives(reply: Body) -> Body:
    """Tokens of the prompt, alternatives of the generated one alone."""
    logprobs = reply["choices"][0]["logprobs"]
    logprobs["top_logprobs"] = [None] * (len(logprobs["tokens"]) - 1) + logprobs["top_logprobs"][-1:]
    return reply


def shifted(reply: Body) -> Body:
    """Alternatives shifted by one token, as from a server that miscounts a BOS token that it did not add."""
    logprobs = reply["choices"][0]["logprobs"]
    logprobs["top_logprobs"] = [*logprobs["top_logprobs"][1:], {"\n": -0.1, " ": -3.0}]
    return reply


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (generated_only, "no log-probabilities of the prompt"),
        (generated_only_as_completions, "scores only what it generates"),
        (without_prompt_alternatives, "some of the prompt's tokens have no alternatives"),
        (shifted, "the alternatives do not belong to their tokens"),
    ],
)
def test_log_probabilities_of_what_is_generated_are_not_those_of_the_prompt(
    server: LlmServer, edit: Callable[[Body], Body], said: str
) -> None:
    server.numbers = next_token
    found = probed(server, lambda body: Edited(edit, Answer("x")) if body.get("echo") else able(body))
    if PROMPT in found.capabilities:  # the server knows vLLM's own field
        assert found.options == {"prompt_logprobs": "vllm"}
    no_vllm = probed(
        server,
        lambda body: (
            Edited(edit, Answer("x"))
            if body.get("echo")
            else Fail(400, "unknown field")
            if "prompt_logprobs" in body
            else able(body)
        ),
    )
    assert PROMPT not in no_vllm.capabilities
    assert said in no_vllm.missing[PROMPT]
    assert "vllm: HTTP 400: unknown field" in no_vllm.missing[PROMPT]


def next_token(prompt: str, at: int) -> dict[str, float]:
    """Alternatives of a model that has read the prompt: the token that comes, and another."""
    token = next(iter(tokens_of(prompt[at:])), "\n")
    return {token: -0.1, "and": -3.0}


def test_a_server_that_refuses_echo_is_asked_in_vllms_own_way(server: LlmServer) -> None:
    found = probed(server, refuses_echo)
    assert found.options == {"prompt_logprobs": "vllm"}
    assert PROMPT in found.capabilities


def test_llama_cpps_own_server_is_said_not_to_score_prompts(server: LlmServer) -> None:
    def llama_cpp(body: Body) -> Behaviour:
        return Edited(generated_only, Answer("x")) if "prompt_logprobs" in body else refuses_echo(body)

    found = probed(server, llama_cpp)
    assert "Only no echo is supported" in found.missing[PROMPT]
    assert CHAT in found.capabilities


def test_a_probe_learns_anew_and_leaves_other_options_alone(server: LlmServer) -> None:
    before = {"omit": ["seed"], "system": "fold", "chat_alternatives": 2, "extra": 1}
    assert probed(server, options=before).options == {"extra": 1}


def test_an_endpoint_that_goes_down_during_a_probe_is_no_finding(server: LlmServer) -> None:
    def goes_down(body: Body) -> Behaviour:
        return able(body) if server.n_requests == 1 else Drop()

    with pytest.raises(ProviderError, match="down or overloaded") as caught:
        probed(server, goes_down)
    assert not caught.value.permanent


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"omit": 5},
        {"omit": None},
        {"system": 7, "chat_alternatives": "x", "length_field": []},
        {"chat_alternatives": 0},
    ],
)
def test_options_of_other_kinds_are_taken_for_the_usual(options: dict[str, Any]) -> None:
    assert Dialect.of(options) == Dialect()


def test_a_dialect_is_stored_and_read_back() -> None:
    dialect = Dialect("max_completion_tokens", "vllm", frozenset({"seed"}), "fold", 5, 3)
    assert Dialect.of(json.loads(json.dumps(dialect.options))) == dialect
