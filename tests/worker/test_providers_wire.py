import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.language_models import Outcome
from worker.providers.base import ChatRequest, Message, ScoreTextRequest, request_digest
from worker.providers.reading import read_json, reply_of
from worker.providers.reading_alternatives import Unreadable, token_starts
from worker.providers.wire import Dialect, body_of
from worker.simulators.all_at_once import lines_of

ASKS = ChatRequest("explain", (Message("user", "hello"),), max_tokens=20, seed=1, top_logprobs=50)


@st.composite
def tokenized(draw: st.DrawFn) -> tuple[str, tuple[int, ...], list[str]]:
    """A simulator's lines, the signs' offsets, and tokens: parts of characters decoded alone, tabs kept whole."""
    words = draw(st.lists(st.text(max_size=5), max_size=8))
    text, places = lines_of([word.encode("utf-8", "replace") for word in words])
    rng = random.Random(draw(st.integers(0, 1000)))
    tokens: list[str] = []
    for piece in text.replace("\t", "\0\t\0").replace("\n", "\0\n\0").replace("?", "\0?").split("\0"):
        raw = piece.encode()
        while raw:
            n = rng.randint(1, len(raw))
            tokens.append(raw[:n].decode("utf-8", "replace"))
            raw = raw[n:]
    return text, places, tokens


@given(tokenized(), st.sampled_from([[], ["<s>"], ["<|begin_of_text|>"]]))
def test_signs_are_found_in_any_tokens_that_keep_tabs_whole(
    found: tuple[str, tuple[int, ...], list[str]], begin: list[str]
) -> None:
    text, places, tokens = found
    starts = token_starts(text, [*begin, *tokens])
    assert set(places) <= set(starts)
    for start, token in zip(starts, [*begin, *tokens], strict=True):
        assert start is None or text.startswith(token, start)


def test_a_sign_inside_a_token_has_no_position() -> None:
    assert 2 not in token_starts("a\t?\n", ["a", "\t?", "\n"])


def test_top_log_probabilities_stay_within_the_formats_limit() -> None:
    assert body_of("m", ASKS, Dialect())["top_logprobs"] == 20


def test_a_dialect_renames_and_leaves_out() -> None:
    body = body_of("m", ASKS, Dialect.of({"length_field": "max_completion_tokens", "omit": ["seed", "temperature"]}))
    assert set(body) == {"model", "messages", "max_completion_tokens", "logprobs", "top_logprobs"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"choices": []},
        {"choices": [{}]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": 7}}]},
        [1],
        None,
    ],
)
def test_a_body_that_is_not_of_the_format_is_refused(body: Any) -> None:
    with pytest.raises(Unreadable):
        reply_of(ASKS, body)


@pytest.mark.parametrize("text", ["", '{"choices": [', "[" * 100_000])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        read_json(text)


def test_a_content_filter_is_a_refusal() -> None:
    reply = reply_of(ASKS, {"choices": [{"message": {"content": "ha"}, "finish_reason": "content_filter"}]})
    assert reply.outcome is Outcome.REFUSED


@given(st.text(), st.text(), st.integers(0, 9))
def test_different_questions_have_different_digests(one: str, other: str, seed: int) -> None:
    def digest(text: str, seed: int) -> str:
        return request_digest("p", "m", ChatRequest("s", (Message("user", text),), 20, seed=seed))

    assert (digest(one, seed) == digest(other, seed)) == (one == other)
    assert digest(one, seed) != digest(one, seed + 1)


def test_the_step_is_no_part_of_the_question() -> None:
    one, other = (ScoreTextRequest(step, "p", "t", (1,)) for step in ("a", "b"))
    assert request_digest("p", "m", one) == request_digest("p", "m", other)
