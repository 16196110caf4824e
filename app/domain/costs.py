"""What calls to language models cost, and what a batch of them will."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TOKENS_PER_PRICE = 1_000_000


@dataclass(frozen=True, slots=True)
class Prices:
    """Price per million tokens: read anew, read from the endpoint's cache, written."""

    tokens_in: float = 0.0
    tokens_cached: float = 0.0
    tokens_out: float = 0.0

    @property
    def is_free(self) -> bool:
        """Whether nothing costs anything."""
        return self.tokens_in == self.tokens_cached == self.tokens_out == 0.0

    def of(self, tokens_in: int, tokens_cached: int, tokens_out: int) -> float:
        """The price of a call. ``tokens_cached`` is the part of ``tokens_in`` that was not computed anew."""
        fresh = max(0, tokens_in - tokens_cached)
        total = fresh * self.tokens_in + tokens_cached * self.tokens_cached + tokens_out * self.tokens_out
        return total / TOKENS_PER_PRICE


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What one neuron needs of a language model: calls with their tokens, as counted or as guessed."""

    calls: float
    tokens_in: float
    tokens_cached: float
    tokens_out: float
    seconds_per_call: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a batch will need. ``n_known`` is how many finished runs it is drawn from; 0 is a guess."""

    n_neurons: int
    calls: int
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    price: float
    seconds: float
    n_known: int


def estimate(n_neurons: int, plan: CallPlan, prices: Prices, *, at_once: int, n_known: int) -> Estimate:
    """Calls, tokens, price and seconds for ``n_neurons``, with ``at_once`` calls in flight."""
    tokens_in, cached, out = (round(n_neurons * t) for t in (plan.tokens_in, plan.tokens_cached, plan.tokens_out))
    return Estimate(
        n_neurons=n_neurons,
        calls=round(n_neurons * plan.calls),
        tokens_in=tokens_in,
        tokens_cached=cached,
        tokens_out=out,
        price=prices.of(tokens_in, cached, out),
        seconds=n_neurons * plan.calls * plan.seconds_per_call / max(1, at_once),
        n_known=n_known,
    )


EXPLAIN_TOKENS = (2371, 100)
"""In and out, of one explanation: the 2023 paper's."""
GUESSED_SECONDS = 2.0
"""Of one call."""
INSTRUCTIONS = 900
"""Tokens of a simulator's instructions and worked examples, about."""


CHOOSING_EXCERPTS = 10
"""Calibration records on which an explainer simulates each text that it chooses from."""
JUDGED_AT_ONCE = 5
"""Excerpts in one request of a scorer that asks about excerpts."""
JUDGING_CALLS = {"detection": 3, "fuzzing": 2}
"""Requests of such a scorer for one text."""


@dataclass(frozen=True, slots=True)
class MethodSteps:
    """What one run of a method asks for besides simulating.

    ``writing`` requests write something, ``texts`` come out of them and are scored, ``compared`` were
    simulated on the calibration records first, ``judging`` requests ask about excerpts.
    """

    writing: int = 1
    texts: int = 1
    compared: int = 0
    judging: int = 0


def method_steps(
    explainer: str, scorers: Sequence[str], parameters: Mapping[str, Any], *, shuffled: bool
) -> MethodSteps:
    """What a method's parameters say of its steps. A scorer asks again about another neuron if ``shuffled``."""
    own = parameters.get("explainer", {})
    n = int(own.get("n", 4))
    writing, texts, compared = {
        "best_of_n": (n, n, n),
        "revise": (3, 2, 2),  # the text, test sentences, the corrected text
        "per_meaning": (4, 1, 2),  # one for all excerpts and about three for groups of them
    }.get(explainer, (1, 1, 0))
    judging = texts * (1 + shuffled) * sum(JUDGING_CALLS.get(scorer, 0) for scorer in scorers)
    return MethodSteps(writing, texts, compared, judging)


ONE_TEXT = MethodSteps()


def guessed_plan(simulator: str, *, n_excerpts: int, length: int, steps: MethodSteps = ONE_TEXT) -> CallPlan:
    """What one neuron will need of a method that has not been run: its steps, ``n_excerpts`` simulated for each text.

    ``length`` is that of an excerpt in tokens. A simulator that is not known is taken for ``structured``.
    """
    n_excerpts = steps.texts * n_excerpts + steps.compared * CHOOSING_EXCERPTS
    if simulator == "token_by_token":
        calls, per_call, cached, out = n_excerpts * length, INSTRUCTIONS + length // 2, INSTRUCTIONS, 1
    elif simulator == "all_at_once":
        calls, per_call, cached, out = n_excerpts, INSTRUCTIONS + 4 * length, INSTRUCTIONS, 1
    else:
        calls, per_call, cached, out = n_excerpts, INSTRUCTIONS + 5 * length, 0, 3 * length
    return CallPlan(
        calls=steps.writing + calls + steps.judging,
        tokens_in=steps.writing * EXPLAIN_TOKENS[0]
        + calls * per_call
        + steps.judging * (INSTRUCTIONS // 2 + JUDGED_AT_ONCE * length),
        tokens_cached=max(0, calls - 1) * cached,
        tokens_out=steps.writing * EXPLAIN_TOKENS[1] + calls * out + steps.judging * 4 * JUDGED_AT_ONCE,
        seconds_per_call=GUESSED_SECONDS,
    )
