"""Converts log-probabilities of numbers to a distribution over 0..10 and its mean."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from app.domain.activations import NORMALISED_LEVELS, NORMALISED_MAXIMUM
from app.domain.arrays import Float32s
from app.domain.language_models import Capability, Outcome
from app.domain.results import SimulatedExcerpt
from worker.providers.base import Provider, Reply
from worker.providers.reading_alternatives import as_text


def top_level(provider: Provider) -> int:
    """The highest number that the provider's model writes as one token, 10 or 9.

    If "10" is two tokens, the first is "1": on a scale to 10, such a model would seem to answer 1 when it means 10. So
    its scale ends at 9.
    """
    return NORMALISED_MAXIMUM if Capability.WHOLE_TEN in provider.capabilities else NORMALISED_MAXIMUM - 1


def answers(top: int) -> tuple[str, ...]:
    """The possible answers, as text."""
    return tuple(str(n) for n in range(top + 1))


def distribution(logprobs: Mapping[str, float], top: int) -> Float32s | None:
    """The probability of each number 0..10 [11] among the alternatives, which are renormalised.

    None if ``unusable`` gives a reason. A number with white space around it counts too, also as vocabularies write it
    (``▁7``). Source: the 2023 paper's expected value, over the tokens "0".."10" among the returned
    log-probabilities.
    """
    if unusable(logprobs, top) is not None:
        return None
    numbers = [(n, p) for token, p in logprobs.items() if (n := _number(token, top)) is not None]
    masses = np.zeros(NORMALISED_LEVELS, dtype=np.float64)
    highest = max(p for _, p in numbers)
    for number, logprob in numbers:
        masses[number] += math.exp(logprob - highest)
    shares: Float32s = (masses / masses.sum()).astype(np.float32)
    return shares


def unusable(logprobs: Mapping[str, float], top: int) -> str | None:
    """Why these alternatives give no distribution over the numbers 0..``top``; None if they do.

    Minus infinity is a probability of 0. Any other non-finite value is a failure of the model; then all alternatives
    are unusable, because their sum is unknown.
    """
    numbers = {token: p for token, p in logprobs.items() if _number(token, top) is not None}
    broken = next((token for token, p in numbers.items() if math.isnan(p) or p == math.inf), None)
    if broken is not None:
        return f"the log-probability of {broken!r} is not a finite number"
    if not numbers:
        likeliest = sorted(logprobs, key=lambda token: -logprobs[token])[:3]
        return f"no number among the likely answers ({', '.join(map(repr, likeliest)) or 'there are none'})"
    if all(p == -math.inf for p in numbers.values()):
        return f"every number from 0 to {top} has a probability of 0"
    return None


def _number(token: str, top: int) -> int | None:
    bare = as_text(token).strip()
    return int(bare) if bare.isascii() and bare.isdigit() and str(int(bare)) == bare and int(bare) <= top else None


def expected(distributions: Float32s, top: int) -> Float32s:
    """The mean of each row [T, 11], rescaled so that the scale's top is 10. [T]"""
    means = distributions @ np.arange(NORMALISED_LEVELS, dtype=np.float32)
    return (means * (NORMALISED_MAXIMUM / top)).astype(np.float32)


def from_positions(
    excerpt_id: int, positions: Iterable[Mapping[str, float]], *, length: int, top: int
) -> SimulatedExcerpt:
    """An excerpt's expected activations from the alternatives at each of its ``length`` tokens.

    Missing, with the reason, if positions are missing or one is ``unusable``.
    """
    rows = []
    for position, logprobs in enumerate(positions, 1):
        row = distribution(logprobs, top)
        if row is None:
            return missing(excerpt_id, length, f"{unusable(logprobs, top)} for token {position} of {length}")
        rows.append(row)
    if len(rows) != length:
        return missing(excerpt_id, length, f"the reply has log-probabilities of {len(rows)} tokens, not of {length}")
    found = np.stack(rows)
    return SimulatedExcerpt(excerpt_id, length, expected(found, top), distribution=found)


def missing(excerpt_id: int, length: int, reason: str) -> SimulatedExcerpt:
    """An excerpt without expected activations."""
    return SimulatedExcerpt(excerpt_id, length, expected=None, failure=reason)


def first_failure(replies: Sequence[Reply]) -> str:
    """The error of the first bad reply among these."""
    bad = next(reply for reply in replies if reply.outcome is not Outcome.OK)
    return bad.error or f"the reply is {bad.outcome}"
