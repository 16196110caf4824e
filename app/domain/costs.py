"""What calls to language models cost, and what a batch of them will."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.steps.calls import NO_CALLS, Calls

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
    """What one neuron needs of a language model: calls with their tokens, as counted or as estimated.

    ``calls_most`` is how many there are at most while every reply is usable; None where they were counted.
    """

    calls: float
    tokens_in: float
    tokens_cached: float
    tokens_out: float
    seconds_per_call: float
    calls_most: float | None = None


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """What a batch will need. ``n_known`` is how many finished runs it is drawn from; 0 for one by the catalogue.

    ``calls_most`` is how many calls there are at most while every reply is usable; None where that is not known.
    """

    n_neurons: int
    calls: int
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    price: float
    seconds: float
    n_known: int
    calls_most: int | None = None


def estimate(n_neurons: int, plan: CallPlan, prices: Prices, *, at_once: int, n_known: int) -> CostEstimate:
    """Calls, tokens, price and seconds for ``n_neurons``, with ``at_once`` calls in flight."""
    tokens_in, cached, out = (round(n_neurons * t) for t in (plan.tokens_in, plan.tokens_cached, plan.tokens_out))
    return CostEstimate(
        n_neurons=n_neurons,
        calls=round(n_neurons * plan.calls),
        tokens_in=tokens_in,
        tokens_cached=cached,
        tokens_out=out,
        price=prices.of(tokens_in, cached, out),
        seconds=n_neurons * plan.calls * plan.seconds_per_call / max(1, at_once),
        n_known=n_known,
        calls_most=None if plan.calls_most is None else round(n_neurons * plan.calls_most),
    )


GUESSED_SECONDS = 2.0
"""Of one call, where none was made yet."""


def estimated_plan(runs: Sequence[Calls]) -> CallPlan:
    """The mean of what the catalogue estimates for each of several neurons; no calls where there are none."""
    every, n = sum(runs, NO_CALLS), max(1, len(runs))
    return CallPlan(
        calls=every.n.expected / n,
        tokens_in=every.tokens_in / n,
        tokens_cached=every.tokens_cached / n,
        tokens_out=every.tokens_out / n,
        seconds_per_call=GUESSED_SECONDS,
        calls_most=every.n.most / n,
    )
