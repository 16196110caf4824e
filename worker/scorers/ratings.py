"""Ratings of excerpts by a language model, several per request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from app.domain.activations import NeuronRecords
from app.domain.judgements import CHANCE, auc, balanced_accuracy
from app.domain.results import ScoreResult
from app.domain.scores import Estimate
from app.domain.steps.scorers import PER_REQUEST
from app.domain.steps.spec import Records
from app.errors import MethodError
from worker.method.contracts import Services
from worker.method.prompts import load
from worker.method.prompts.rendering import block, escape
from worker.method.structured_requests import Form, StructuredRequest, Unusable, json_object, object_schema, request_all
from worker.providers.base import Message, Provider
from worker.scorers.samples import scored

FITS_FROM = 5
"""Rating (0..10) from which an excerpt is judged to fit."""
MOST = 10
MOST_TOKENS = 100
"""Tokens of a reply; a model that reasons first needs more."""


@dataclass(frozen=True, slots=True)
class Rated:
    """One rated excerpt: whether it really fits, and its rating (0..10), None with the reason if that failed."""

    fits: bool
    rating: int | None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """One excerpt as the model sees it, escaped and marked, and whether it really fits."""

    body: str
    fits: bool


@dataclass(frozen=True, slots=True)
class Judge:
    """Asks a language model to rate how well excerpts fit an explanation. ``prompt`` is its file of instructions."""

    provider: Provider
    prompt: str
    seed: int
    max_tokens: int

    def rate(self, text: str, groups: Sequence[Sequence[Shown]], *, step: str) -> tuple[Rated, ...]:
        """A rating for each excerpt of each group, in order; excerpts of two groups never share a request.

        If all attempts of a request fail, its excerpts have no rating. Raises ProviderError.
        """
        chunks = [tuple(group[i : i + PER_REQUEST]) for group in groups for i in range(0, len(group), PER_REQUEST)]
        answers = request_all(
            self.provider, [self._question(text, chunk, f"{step}/{i}") for i, chunk in enumerate(chunks)]
        )
        return tuple(
            Rated(shown.fits, None if answer.value is None else answer.value[i], answer.failure)
            for chunk, answer in zip(chunks, answers, strict=True)
            for i, shown in enumerate(chunk)
        )

    def _question(self, text: str, chunk: Sequence[Shown], step: str) -> StructuredRequest[tuple[int, ...]]:
        parts = [block("claim", escape(text))]
        parts += [block(f"excerpt {i}", shown.body) for i, shown in enumerate(chunk, 1)]
        return StructuredRequest(
            step=step,
            messages=(
                Message("system", load(self.prompt).fill(n=len(chunk))),
                Message("user", "\n".join(parts)),
            ),
            form=ratings_form(len(chunk)),
            max_tokens=self.max_tokens,
            seed=self.seed,
        )


def ratings_form(n: int) -> Form[tuple[int, ...]]:
    """The form of ``n`` ratings, whole numbers 0..10."""
    number = {"type": "integer", "minimum": 0, "maximum": MOST}
    schema = object_schema(ratings={"type": "array", "items": number, "minItems": n, "maxItems": n})
    return Form(f"ratings/1/{n}", schema, lambda reply: _read(reply, n))


def _read(reply: str, n: int) -> tuple[int, ...]:
    ratings = json_object(reply, frozenset({"ratings"}))["ratings"]
    if not isinstance(ratings, list) or len(ratings) != n:
        raise Unusable(f"the ratings are not a list of {n}")
    for rating in ratings:
        if not isinstance(rating, int) or isinstance(rating, bool) or not 0 <= rating <= MOST:
            raise Unusable(f"{rating!r} is not a whole number from 0 to {MOST}")
    return tuple(ratings)


def judged(scorer: str, sample: str, rated: Sequence[Rated]) -> tuple[ScoreResult, ScoreResult]:
    """Balanced accuracy, under the scorer's name, and AUC, under ``<name>_auc``, of the available ratings."""
    valid = [(r.fits, r.rating) for r in rated if r.rating is not None]
    truth, ratings = [fits for fits, _ in valid], [float(rating) for _, rating in valid]
    return estimates(
        scorer,
        sample,
        _refused(rated) or balanced_accuracy(truth, [rating >= FITS_FROM for rating in ratings]),
        _refused(rated) or auc(truth, ratings),
        (len(valid), len(rated)),
    )


def estimates(
    scorer: str, sample: str, accuracy: Estimate, area: Estimate, counts: tuple[int, int]
) -> tuple[ScoreResult, ScoreResult]:
    """Both numbers as results, with the values of chance. ``counts`` are valid excerpts and all excerpts."""
    first, second = (
        replace(scored(name, sample, estimate, n_valid=counts[0], n=counts[1]), chance=CHANCE)
        for name, estimate in ((scorer, accuracy), (f"{scorer}_auc", area))
    )
    return first, second


def _refused(rated: Sequence[Rated]) -> Estimate | None:
    """Why the score is undefined if there is no rating; a missing class has a reason of its own."""
    failed = [r for r in rated if r.rating is None]
    if failed and len(failed) == len(rated):
        return Estimate(None, f"no excerpt could be rated: {failed[0].failure}")
    return None


class JudgingScorer:
    """Base of scorers that let a language model rate excerpts. They use records, not simulations."""

    name: str
    version: int

    def __init__(self, provider: Provider, *, shuffled: bool = True, max_tokens: int = MOST_TOKENS) -> None:
        self.provider = provider
        self.max_tokens = max_tokens
        self.shuffled = shuffled

    def simulated(self, records: NeuronRecords) -> Records:
        """Nothing."""
        return {}

    @classmethod
    def build(cls, parameters: Mapping[str, Any], services: Services) -> Self:
        """``shuffled``: whether the text is also judged on another neuron's excerpts, which doubles the requests."""
        if services.provider is None:
            raise MethodError(f"The scorer {cls.name} needs a language model; the method names no provider.")
        return cls(services.provider, **parameters)
