"""What calls to language models cost, and what a batch of them will."""

from collections.abc import Sequence
from dataclasses import dataclass

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


def guessed_plan(
    excerpt_lengths: Sequence[int], *, explain_calls: int, per_excerpt_overhead: int, tokens_per_line: float
) -> CallPlan:
    """What a neuron whose scored excerpts have these lengths (tokens) will need, before any run is known.

    One call per excerpt after ``explain_calls`` of the paper's size (2,371 tokens in, 100 out).
    """
    explain_in, explain_out, seconds = 2371, 100, 2.0
    simulate_in = sum(per_excerpt_overhead + round(n * tokens_per_line) for n in excerpt_lengths)
    return CallPlan(
        calls=explain_calls + len(excerpt_lengths),
        tokens_in=explain_calls * explain_in + simulate_in,
        tokens_cached=0,
        tokens_out=explain_calls * explain_out + sum(2 * n for n in excerpt_lengths),
        seconds_per_call=seconds,
    )
