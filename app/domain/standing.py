"""Which text and which score represent a run, an explanation or a neuron that has several.

Nothing is chosen for being the highest: the best of several scores on the same few records is biased upwards. Every
rule here goes by order alone: a run's candidate by its method's own order, a score by its age, a text by its age.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from app.domain.executed import CORPUS, EXECUTED
from app.domain.results import TOP_AND_RANDOM


@dataclass(frozen=True, slots=True)
class ScoreName:
    """What a score measures: a scorer on a named sample. Scores with different names are never averaged or compared."""

    scorer: str
    sample: str

    def names(self, score: "NamedScore") -> bool:
        """Whether this is the name of the score."""
        return (score.scorer, score.sample) == (self.scorer, self.sample)


SCORE_EXECUTED = ScoreName(EXECUTED, CORPUS)
"""The correlation of an executed explanation over every token of a collection's corpus."""
SCORE_2023 = ScoreName("correlation", TOP_AND_RANDOM)
"""The 2023 score: correlation over top and random excerpts."""

MARGIN_2023 = ScoreName("correlation_margin", TOP_AND_RANDOM)
"""The 2023 score minus that of the token table on the same excerpts."""


FIRST_CANDIDATE = 0
"""The rank of the candidate that represents its run: the one that the method preferred before anything was scored."""


class NamedScore(Protocol):
    """The parts of a score that the rules need. ``simulator`` is None for a scorer that uses none."""

    @property
    def scorer(self) -> str: ...
    @property
    def sample(self) -> str: ...
    @property
    def simulator(self) -> str | None: ...


class AuthoredText(Protocol):
    """The parts of an explanation that the rules need.

    ``method_id`` is None for a person's and for an imported explanation. ``is_rejected`` is whether reviewers have
    upheld a flag against it.
    """

    @property
    def id(self) -> int: ...
    @property
    def rank(self) -> int: ...
    @property
    def method_id(self) -> int | None: ...
    @property
    def collection_id(self) -> int | None: ...
    @property
    def is_rejected(self) -> bool: ...


S = TypeVar("S", bound=NamedScore)
T = TypeVar("T", bound=AuthoredText)


def standing_score(scores: Sequence[S], name: ScoreName, *, made_by_method: bool) -> S | None:
    """The score of this name that represents an explanation; None if it has no score of this name.

    ``scores`` are the explanation's, in the order in which they were stored. The result is the newest score by one
    simulator, even if it is undefined. For a method's text that is the simulator of the first score, which is the
    method's own; for a person's or an imported text it is the simulator that scored last.
    """
    named = [score for score in scores if name.names(score)]
    if not named:
        return None
    simulator = named[0 if made_by_method else -1].simulator
    return next(score for score in reversed(named) if score.simulator == simulator)


def speaks_for_its_run(text: AuthoredText) -> bool:
    """Whether the text is its run's first candidate."""
    return text.rank == FIRST_CANDIDATE


def simulator_of_most(n_scored: Mapping[str | None, int]) -> str | None:
    """The simulator that represents a method: the one that scored most neurons; of equals the first by name."""
    return max(sorted(n_scored, key=str), key=lambda name: n_scored[name], default=None)


def standing_texts(texts: Iterable[T], is_scored: Callable[[T], bool]) -> list[T]:
    """The texts that may be shown first for their neuron, in the order of their ids.

    One run represents all runs of a method on the same collection: the first that was scored, or the first if none was.
    A repeated run shows how much text and score vary and never replaces the first. Every person's and every imported
    text represents itself. ``is_scored`` returns whether a text has a defined score.
    """
    groups: dict[Hashable, T] = {}
    for text in sorted(texts, key=lambda text: text.id):
        if not speaks_for_its_run(text):
            continue
        key = (text.method_id, text.collection_id) if text.method_id is not None else text.id
        earlier = groups.get(key)
        if earlier is None or (is_scored(text) and not is_scored(earlier)):
            groups[key] = text
    return sorted(groups.values(), key=lambda text: text.id)


def shown_first(texts: Iterable[T], is_scored: Callable[[T], bool]) -> T | None:
    """The text that is shown first for a neuron: the newest standing one with a defined score, else the newest.

    Rejected texts are never shown first. None if every text is rejected: the neuron needs an explanation.
    """
    texts = [text for text in texts if not text.is_rejected]
    return max(standing_texts(texts, is_scored), key=lambda text: (is_scored(text), text.id), default=None)
