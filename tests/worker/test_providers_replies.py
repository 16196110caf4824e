"""Replies of odd forms over the wire: book-keeping never costs an answer, and what is no answer is named."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.language_models import Outcome
from tests.llm_server import Answer, Behaviour, Body, Edited, LlmServer, Raw, chat_reply, raw_json
from tests.worker.endpoint import asks, watched
from worker.providers.base import ScoreTextRequest, Usage, chat_until_usable
from worker.providers.openai_compatible import OpenAICompatible
from worker.providers.reading import count_of, reply_of, usage_of
from worker.providers.reading_alternatives import Unreadable, logprob_of

Edit = Callable[[Body], Any]


def with_usage(usage: Any) -> Edit:
    return lambda reply: {**reply, "usage": usage}


def with_message(**fields: Any) -> Edit:
    def edit(reply: Body) -> Body:
        reply["choices"][0]["message"] |= fields
        return reply

    return edit


def with_choice(**fields: Any) -> Edit:
    def edit(reply: Body) -> Body:
        reply["choices"][0] |= fields
        return reply

    return edit


ODD_BOOKKEEPING: dict[str, Edit] = {
    "no usage": lambda reply: {k: v for k, v in reply.items() if k != "usage"},
    "usage null": with_usage(None),
    "usage a list": with_usage([1]),
    "a count that is a word": with_usage({"prompt_tokens": 3, "completion_tokens": "x"}),
    "details that are a number": with_usage({"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": 5}),
    "a negative count": with_usage({"prompt_tokens": -3, "completion_tokens": 2}),
    "a count of 1e18": with_usage({"prompt_tokens": 10**18, "completion_tokens": 2}),
    "a count of 1e300": with_usage({"prompt_tokens": 1e300, "completion_tokens": 2}),
    "a count that is no number": with_usage({"prompt_tokens": math.nan, "completion_tokens": math.inf}),
    "a model of NUL and half a pair": lambda reply: {**reply, "model": "m\x00\ud800" + "x" * 10_000},
    "a model that is a list": lambda reply: {**reply, "model": ["m"]},
    "a finish reason that is a list": with_choice(finish_reason=["stop"]),
    "log-probabilities that are a word": with_choice(logprobs="none"),
    "an empty error": lambda reply: {**reply, "error": {"message": "", "code": None}},
    "fields of other kinds": lambda reply: {**reply, "id": None, "created": "x", "object": 7, "system_fingerprint": []},
    "a refusal of false": with_message(refusal=False),
    "content in parts": with_message(
        content=[{"type": "text", "text": "words "}, {"type": "text", "text": "about cats"}]
    ),
    "reasoning in parts": with_message(
        content=[{"type": "thinking", "thinking": [{"text": "hm"}]}, {"type": "text", "text": "words about cats"}]
    ),
    "tool calls that are empty": with_message(tool_calls=[], function_call=None),
}


@pytest.mark.parametrize("name", ODD_BOOKKEEPING)
def test_odd_book_keeping_never_costs_an_answer(server: LlmServer, provider: OpenAICompatible, name: str) -> None:
    server.brain = lambda _body: Edited(ODD_BOOKKEEPING[name])
    (reply,) = provider.chat([asks()])
    assert (reply.outcome, reply.text, server.n_requests) == (Outcome.OK, "words about cats", 1)
    assert reply.usage is None or reply.usage.tokens_in >= 0
    assert reply.model is None or len(reply.model) <= 200


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 3}, Usage(7, 0, 3)),
        ({"prompt_tokens": "7", "completion_tokens": 3.0}, Usage(7, 0, 3)),
        ({"input_tokens": 7, "output_tokens": 3}, Usage(7, 0, 3)),
        ({"prompt_tokens": 7, "total_tokens": 10}, Usage(7, 0, 3)),
        ({"completion_tokens": 3, "total_tokens": 10}, Usage(7, 0, 3)),
        ({"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 5}}, Usage(7, 5, 3)),
        ({"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 50}}, Usage(7, 7, 3)),
        ({"prompt_tokens": 7, "completion_tokens": 3, "prompt_cache_hit_tokens": 5}, Usage(7, 5, 3)),
        ({"input_tokens": 7, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 5}}, Usage(7, 5, 3)),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, None),
        ({"prompt_tokens": 7}, None),
        ({"prompt_tokens": 7, "total_tokens": 3}, None),
        ({}, None),
    ],
)
def test_token_counts_are_read_in_the_spellings_of_servers(usage: Any, read: Usage | None) -> None:
    assert usage_of(usage) == read


@pytest.mark.parametrize("counts", [(0, 0), (0, 9), (9, 0)])
def test_a_server_that_counts_nothing_has_no_counts(
    server: LlmServer, provider: OpenAICompatible, counts: tuple[int, int]
) -> None:
    server.script.append(Edited(with_usage({"prompt_tokens": counts[0], "completion_tokens": counts[1]})))
    (reply,) = provider.chat([asks()])
    assert (reply.text, reply.usage) == ("words about cats", None)


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()))
def test_any_value_is_a_count_within_bounds_or_none(value: Any) -> None:
    count = count_of(value)
    assert count is None or (0 <= count <= 10_000_000 and type(count) is int)
    logprob = logprob_of(value)
    if isinstance(value, float) and (math.isnan(value) or value == math.inf):
        assert logprob is not None
        assert math.isnan(logprob)  # the model has failed to compute it
    else:
        assert logprob is None or (math.isfinite(logprob) and logprob <= 0)


THOUGHTS = '<think>perhaps {7}, or {"explanation": "no"}</think>'


def test_thoughts_are_left_out_of_the_answer_and_kept_in_the_stored_reply(
    server: LlmServer, provider: OpenAICompatible
) -> None:
    server.script.append(Answer(f'{THOUGHTS}{{"explanation": "digits"}}'))
    watch, seen = watched()
    (reply,) = provider.chat([asks()], watch=watch)
    assert (reply.outcome, reply.text) == (Outcome.OK, '{"explanation": "digits"}')
    assert "perhaps {7}" in reply.reasoning
    assert "perhaps {7}" in str(seen[0].raw)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "thinking"])
def test_thoughts_that_the_server_keeps_apart_are_kept_apart(
    server: LlmServer, provider: OpenAICompatible, field: str
) -> None:
    server.script.append(Edited(with_message(**{field: "hm"})))
    (reply,) = provider.chat([asks()])
    assert (reply.text, reply.reasoning) == ("words about cats", "hm")


@pytest.mark.parametrize("finish", ["stop", "length"])
def test_thoughts_that_never_end_are_a_reply_cut_short(
    server: LlmServer, provider: OpenAICompatible, finish: str
) -> None:
    server.script.append(Answer("<think>and then", finish_reason=finish))
    (reply,) = provider.chat([asks()])
    assert (reply.outcome, reply.text) == (Outcome.TRUNCATED, "")
    assert "reasoning" in str(reply.error)


WITHOUT_ANSWER: dict[str, tuple[Behaviour, str]] = {
    "content null": (Edited(with_message(content=None)), "the reply is empty (finish reason: stop)"),
    "content empty": (Answer(" \n"), "the reply is empty (finish reason: stop)"),
    "reasoning alone": (
        Edited(with_message(content=None, reasoning_content="hm")),
        "the reply holds the model's reasoning and no answer",
    ),
    "a tool call": (
        Edited(with_message(content=None, tool_calls=[{"type": "function", "function": {"name": "look_up"}}])),
        "the model called a tool (look_up) instead of giving an answer",
    ),
    "an odd tool call": (
        Edited(with_message(content=None, tool_calls=[7])),
        "the model called a tool (without a name) instead of giving an answer",
    ),
    "an old function call": (
        Edited(with_message(content=None, function_call={"name": "look_up"})),
        "the model called a tool (look_up) instead of giving an answer",
    ),
}


@pytest.mark.parametrize("name", WITHOUT_ANSWER)
def test_a_reply_of_the_format_without_an_answer_is_named_and_asked_once(
    server: LlmServer, provider: OpenAICompatible, name: str
) -> None:
    behaviour, said = WITHOUT_ANSWER[name]
    server.brain = lambda _body: behaviour
    (reply,) = provider.chat([asks()])
    assert (reply.outcome, reply.error, server.n_requests) == (Outcome.UNPARSABLE, said, 1)


UNREADABLE: dict[str, tuple[Behaviour, str]] = {
    "an event stream": (Raw(b"data: {}\n\n", content_type="text/event-stream"), "is an event stream"),
    "an event stream as JSON": (Raw(b'data: {"choices": []}\n\ndata: [DONE]\n'), "is an event stream"),
    "a web page": (
        Raw(b"<html><title>Sign in</title></html>", content_type="text/html"),
        'a web page titled "Sign in"',
    ),
    "nothing": (Raw(b""), "has no body"),
    "white space": (Raw(b" \r\n"), "has no body"),
    "text": (Raw(b"ok", content_type="text/plain"), "is not JSON, it begins with 'ok'"),
    "a list": (raw_json([1, 2]), "is a JSON list"),
    "a string": (raw_json("words"), "is a JSON string"),
    "null": (raw_json(None), "is null"),
    "no choices": (raw_json({"id": "x", "choices": []}), "without choices: it holds id, choices"),
    "choices of another kind": (raw_json({"choices": {"message": {}}}), "without choices"),
    "a choice that is a word": (raw_json({"choices": ["words"]}), "without choices"),
    "a choice without a message": (raw_json({"choices": [{"text": "words"}]}), "has no message"),
    "a message that is a word": (raw_json({"choices": [{"message": "words"}]}), "has no message"),
    "content that is a number": (Edited(with_message(content=7)), "content is a JSON number"),
    "half a body": (Raw(b'{"choices": [{"mess'), "breaks off after 19 characters"),
    "a number of 5,000 digits": (Raw(b'{"choices": ' + b"9" * 5_000 + b"}"), "not usable JSON"),
    "deep lists": (Raw(b"[" * 100_000 + b"]" * 100_000), "nested too deeply"),
    "lists of 300 levels": (Raw(b"[" * 300 + b"]" * 300), "nested too deeply"),
    "a million lists": (Raw(b"[" + b"[]," * 1_000_001 + b"[]]"), "more than 1000000 lists"),
    "a compressed body": (Raw(b"\x1f\x8b", headers={"content-encoding": "gzip"}), "is compressed (gzip)"),
    "a body of two codings": (Raw(b"x", headers={"content-encoding": "identity, br"}), "is compressed"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_reply_is_named_and_asked_again_within_a_bound(
    server: LlmServer, provider: OpenAICompatible, name: str
) -> None:
    behaviour, said = UNREADABLE[name]
    server.brain = lambda _body: behaviour
    watch, seen = watched()
    (reply,) = chat_until_usable(provider, [asks()])
    provider.chat([asks()], watch=watch)
    assert (reply.outcome, server.n_requests) == (Outcome.FAILED, 2 * 4)
    assert said in str(reply.error)
    assert {a.reply.outcome for a in seen} == {Outcome.UNPARSABLE}


WHOLE = json.dumps(chat_reply(Answer("words"), {"model": "m", "messages": []})).encode()
READABLE = {
    "a byte-order mark": b"\xef\xbb\xbf" + WHOLE,
    "white space around it": b"\r\n " + WHOLE + b"\n",
    "a byte that is not UTF-8": WHOLE.replace(b"reply-1", b"reply-\xff"),
    "not a number": WHOLE.replace(b'"created": 0', b'"created": NaN'),
    "infinity": WHOLE.replace(b'"created": 0', b'"created": -Infinity, "x": 1e999'),
    "a name twice": WHOLE.replace(b'"created": 0', b'"choices": [], "choices": 7'),
}


@pytest.mark.parametrize("name", READABLE)
def test_small_faults_of_a_body_cost_no_answer(server: LlmServer, provider: OpenAICompatible, name: str) -> None:
    server.brain = lambda _body: Raw(READABLE[name], content_type="text/plain")
    (reply,) = provider.chat([asks()])
    assert (reply.outcome, reply.text) == (Outcome.OK, "words")


SCORED = ScoreTextRequest("s", "", "a\t?\nb\t?\n", (2, 6))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "content", "logprobs", "top_logprobs", "tokens", "token", "logprob", "usage",
                 "prompt_tokens", "finish_reason", "refusal", "tool_calls", "function", "name", "prompt_logprobs", "0"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=30,
)  # fmt: skip


@given(JSON, JSON)
def test_any_json_is_an_answer_or_unreadable(choice: Any, body: Any) -> None:
    whole = {"choices": [choice]} | (body if isinstance(body, dict) else {})
    for request in (asks(top_logprobs=20), SCORED):
        try:
            reply = reply_of(request, whole)
        except Unreadable:
            continue
        assert all(p <= 0 and math.isfinite(p) for a in reply.alternatives for p in a.logprobs.values())
