"""The cost of calls to language models, made or estimated."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.steps.calls import NO_CALLS, Calls

TOKENS_PER_PRICE = 1_000_000


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices per million tokens: input, input read from the endpoint's cache, output."""

    tokens_in: float = 0.0
    tokens_cached: float = 0.0
    tokens_out: float = 0.0

    @property
    def is_free(self) -> bool:
        """Whether nothing costs anything."""
        return self.tokens_in == self.tokens_cached == self.tokens_out == 0.0

    def of(self, tokens_in: int, tokens_cached: int, tokens_out: int) -> float:
        """The price of a call. ``tokens_cached`` is the part of ``tokens_in`` read from the endpoint's cache."""
        fresh = max(0, tokens_in - tokens_cached)
        total = fresh * self.tokens_in + tokens_cached * self.tokens_cached + tokens_out * self.tokens_out
        return total / TOKENS_PER_PRICE


@dataclass(frozen=True, slots=True)
class CallPlan:
    """The calls that one neuron needs from a language model, with their tokens; counted or estimated.

    ``calls_most`` is the maximum number of calls while every reply is usable; None if the calls were counted.
    """

    calls: float
    tokens_in: float
    tokens_cached: float
    tokens_out: float
    seconds_per_call: float
    calls_most: float | None = None


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """The estimated calls and cost of a batch.

    ``n_known`` is the number of finished runs that the estimate is based on; 0 if it comes from the catalogue of steps.
    ``calls_most`` is the maximum number of calls while every reply is usable; None if not known.
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
"""Assumed seconds of one call, if none was made yet."""


def estimated_plan(runs: Sequence[Calls]) -> CallPlan:
    """The mean of the catalogue's estimates for several neurons; no calls if there are none."""
    every, n = sum(runs, NO_CALLS), max(1, len(runs))
    return CallPlan(
        calls=every.n.expected / n,
        tokens_in=every.tokens_in / n,
        tokens_cached=every.tokens_cached / n,
        tokens_out=every.tokens_out / n,
        seconds_per_call=GUESSED_SECONDS,
        calls_most=every.n.most / n,
    )
