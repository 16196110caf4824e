"""Log-probabilities of odd forms: what is none is left out, and a server that does not score prompts is named."""

import math
from typing import Any

import pytest

from app.domain.language_models import Outcome
from tests.llm_server import Answer, Body, Edited, LlmServer, certain
from tests.worker.endpoint import asks
from worker.providers.base import ScoreTextRequest
from worker.providers.openai_compatible import OpenAICompatible
from worker.providers.reading import reply_of
from worker.providers.reading_alternatives import Unreadable
from worker.simulators.numbers import distribution, from_positions, unusable

ODD_ALTERNATIVES: dict[str, Any] = {
    "null": {"token": "3", "logprob": None},
    "a word": {"token": "3", "logprob": "-1"},
    "minus infinity": {"token": "3", "logprob": -math.inf},
    "positive": {"token": "3", "logprob": 0.9},
    "too large": {"token": "3", "logprob": -(10**400)},
    "no number": {"token": "3"},
    "no token": {"logprob": -0.1},
    "a token that is a number": {"token": 3, "logprob": -0.1},
    "a word instead": "3",
    "nothing": None,
}


@pytest.mark.parametrize("name", ODD_ALTERNATIVES)
def test_an_odd_alternative_is_left_out_and_the_others_are_read(
    server: LlmServer, provider: OpenAICompatible, name: str
) -> None:
    def edit(reply: Body) -> Body:
        reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"].append(ODD_ALTERNATIVES[name])
        return reply

    server.brain = lambda _body: Edited(edit, Answer("7", numbers={"7": -0.5, "8": -1.0}))
    (reply,) = provider.chat([asks(top_logprobs=20)])
    assert reply.outcome is Outcome.OK
    assert reply.alternatives[0].logprobs == {"7": -0.5, "8": -1.0}


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("token", ["3", "7"])
def test_a_number_whose_likelihood_is_not_finite_leaves_no_distribution(
    server: LlmServer, provider: OpenAICompatible, token: str, value: float
) -> None:
    def edit(reply: Body) -> Body:
        reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"].append({"token": token, "logprob": value})
        return reply

    server.brain = lambda _body: Edited(edit, Answer("7", numbers={"7": -0.5, "8": -1.0}))
    (reply,) = provider.chat([asks(top_logprobs=20)])
    likely = reply.alternatives[0].logprobs
    assert distribution(likely, 10) is None
    assert unusable(likely, 10) == f"the log-probability of {token!r} is not a finite number"


@pytest.mark.parametrize(
    ("logprobs", "reason"),
    [
        ({"7": math.nan, "8": -0.1}, "the log-probability of '7' is not a finite number"),
        ({"7": math.inf}, "the log-probability of '7' is not a finite number"),
        ({"7": -math.inf, " 8": -math.inf}, "every number from 0 to 10 has a probability of 0"),
        ({"x": -0.1, "y": math.nan}, "no number among the likely answers ('x', 'y')"),
        ({}, "no number among the likely answers (there are none)"),
    ],
)
def test_why_alternatives_are_no_distribution_is_the_true_reason(logprobs: dict[str, float], reason: str) -> None:
    assert unusable(logprobs, 10) == reason
    simulated = from_positions(1, [{"3": 0.0}, logprobs], length=2, top=10)
    assert (simulated.expected, simulated.failure) == (None, f"{reason} for token 2 of 2")


def test_an_impossible_number_beside_possible_ones_has_no_share() -> None:
    shares = distribution({"7": -math.inf, "8": -2.0}, 10)
    assert shares is not None
    assert shares[[7, 8]].tolist() == [0.0, 1.0]


def test_a_chosen_token_without_a_number_leaves_its_alternatives(server: LlmServer, provider: OpenAICompatible) -> None:
    def edit(reply: Body) -> Body:
        reply["choices"][0]["logprobs"]["content"][0]["logprob"] = None
        return reply

    server.brain = lambda _body: Edited(edit, Answer("7", numbers=certain(7)))
    (reply,) = provider.chat([asks(top_logprobs=20)])
    assert reply.alternatives[0].logprobs == certain(7)


@pytest.mark.parametrize("top", [None, [], "x", {}])
def test_a_reply_without_alternatives_has_the_chosen_token_alone(
    server: LlmServer, provider: OpenAICompatible, top: Any
) -> None:
    def edit(reply: Body) -> Body:
        reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"] = top
        return reply

    server.brain = lambda _body: Edited(edit, Answer("7", numbers={"7": -0.5}))
    (reply,) = provider.chat([asks(top_logprobs=20)])
    assert reply.alternatives[0].logprobs == {"7": -0.5}


def test_alternatives_in_the_form_of_completions_are_read_in_a_chat(
    server: LlmServer, provider: OpenAICompatible
) -> None:
    older = {"tokens": ["7"], "token_logprobs": [-0.5], "top_logprobs": [{"7": -0.5, "8": None, "9": -2.0}]}

    def edit(reply: Body) -> Body:
        reply["choices"][0]["logprobs"] = older
        return reply

    server.brain = lambda _body: Edited(edit, Answer("7"))
    (reply,) = provider.chat([asks(top_logprobs=20)])
    assert reply.alternatives[0].logprobs == {"7": -0.5, "9": -2.0}


@pytest.mark.parametrize("token", ["7", " 7", "▁7", "Ġ7", "<0x37>", "Ċ7", "7\n"])
def test_a_number_is_read_as_vocabularies_write_it(token: str) -> None:
    shares = distribution({token: -0.1, "x": -3.0}, 10)
    assert shares is not None
    assert shares[7] == 1.0


@pytest.mark.parametrize("token", ["07", "seven", "７", "7.", "<0x>", "<0xZZ>", "11", "-7", ""])
def test_what_is_no_number_of_the_scale_is_none(token: str) -> None:
    assert distribution({token: -0.1}, 10) is None


SCORED = ScoreTextRequest("s", "", "a\t?\nb\t?\n", (2, 6))


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"logprobs": None}, "no log-probabilities of the prompt"),
        ({"logprobs": {"content": [{"token": "x", "logprob": -1}]}}, "no log-probabilities of the prompt"),
        ({"logprobs": {"tokens": ["\n"], "top_logprobs": [{"\n": -0.1}]}}, "scores only what it generates"),
        ({"logprobs": {"tokens": [7, None], "top_logprobs": "x"}}, "scores only what it generates"),
        ({"prompt_logprobs": [None, 7, {"1": "x"}]}, "scores only what it generates"),
        ({"prompt_logprobs": []}, "no log-probabilities of the prompt"),
    ],
)
def test_a_completion_that_does_not_score_the_prompt_is_named(choice: Any, said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        reply_of(SCORED, {"choices": [choice]})


@pytest.mark.parametrize(
    "tokens", [["a", "\t", "?", "\n", "b", "\t", "?", "\n"], ["▁a", "ĉ", "?", "Ċ", "b", "<0x09>", "?", "<0x0A>"]]
)
def test_a_prompt_is_followed_in_the_spellings_of_vocabularies(tokens: list[str]) -> None:
    tops: list[Any] = [{"3": -0.5, "4": None, "5": -math.inf} for _ in tokens]
    body = {"choices": [{"logprobs": {"tokens": tokens, "top_logprobs": tops}}]}
    assert [dict(a.logprobs) for a in reply_of(SCORED, body).alternatives] == [{"3": -0.5}] * 2
