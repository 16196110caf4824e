"""From the stored scores of an explanation to the facts that doubts follow from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from app.domain.doubts import Measure, ScoreFacts
from app.domain.samples import SampleKind
from app.domain.standing import SCORE_2023, ScoreName, standing_score

ON_RANDOM = ScoreName(SCORE_2023.scorer, SampleKind.RANDOM)
NEIGHBOURS = "neighbours"
PRECISION = "whole_corpus_precision"
RECALL = "whole_corpus_recall"


@dataclass(frozen=True, slots=True)
class DoubtedText:
    """An explanation as the rules need it."""

    id: int
    neuron_id: int
    text: str
    rank: int
    method_id: int | None
    collection_id: int | None
    is_imported: bool

    def repeats(self, other: "DoubtedText") -> bool:
        """Whether both are the same candidate of two runs of a method on one collection."""
        return self.method_id is not None and (self.method_id, self.collection_id, self.rank) == (
            other.method_id,
            other.collection_id,
            other.rank,
        )


@dataclass(frozen=True, slots=True)
class DoubtedScore:
    """A score as the rules need it."""

    explanation_id: int
    scorer: str
    sample: str
    simulator: str | None
    run_id: int | None
    value: float | None
    interval_low: float | None
    interval_high: float | None
    n_valid: int
    n_failed: int
    token_lookup_baseline: float | None
    shuffled_baseline: float | None
    chance: float | None

    @property
    def measure(self) -> Measure | None:
        """Its value with its interval; None where it is undefined."""
        if self.value is None:
            return None
        if self.interval_low is None or self.interval_high is None:
            return Measure(self.value)
        return Measure(self.value, (self.interval_low, self.interval_high))


@dataclass(frozen=True, slots=True)
class CheckFacts:
    """What the explanation reaches where it was executed on the whole corpus."""

    explanation_id: int
    precision: float | None
    recall: float | None


TwinShare = Callable[[float, str | None], float | None]
"""From a score and its simulator to the share of the null twin's layer that scores as high."""


def score_facts(
    text: DoubtedText,
    texts: Sequence[DoubtedText],
    scores_of: Mapping[int, Sequence[DoubtedScore]],
    check: CheckFacts | None,
    twin_share: TwinShare,
) -> ScoreFacts:
    """The facts of one explanation. ``texts`` are all of its neuron's, ``scores_of`` theirs, in stored order."""
    own = scores_of.get(text.id, ())
    standing = _standing(text, own)
    simulator = None if standing is None else standing.simulator
    value = None if standing is None else standing.value
    neighbours = _newest(own, lambda score: score.scorer == NEIGHBOURS)
    return ScoreFacts(
        score=None if standing is None else standing.measure,
        token_table=None if standing is None else standing.token_lookup_baseline,
        shuffled=None if standing is None else standing.shuffled_baseline,
        on_random=_measure(_newest(own, lambda score: ON_RANDOM.names(score) and score.simulator == simulator)),
        against_neighbours=_measure(neighbours),
        chance_against_neighbours=0.25 if neighbours is None or neighbours.chance is None else neighbours.chance,
        twin_share=None if value is None else twin_share(value, simulator),
        precision=_executed(None if check is None else check.precision)
        or _measure(_estimate(own, PRECISION, simulator)),
        recall=_executed(None if check is None else check.recall) or _measure(_estimate(own, RECALL, simulator)),
        n_valid=0 if standing is None else standing.n_valid,
        n_failed=0 if standing is None else standing.n_failed,
        repeated=_repeated(text, texts, scores_of, simulator),
        imported=_imported(text, own, standing),
    )


def _standing(text: DoubtedText, scores: Sequence[DoubtedScore]) -> DoubtedScore | None:
    return standing_score(scores, SCORE_2023, made_by_method=text.method_id is not None)


def _newest(scores: Sequence[DoubtedScore], wanted: Callable[[DoubtedScore], bool]) -> DoubtedScore | None:
    return next((score for score in reversed(scores) if wanted(score)), None)


def _estimate(scores: Sequence[DoubtedScore], scorer: str, simulator: str | None) -> DoubtedScore | None:
    """The newest of this name, by the simulator of the 2023 score where there is one."""
    return _newest(scores, lambda score: score.scorer == scorer and simulator in (None, score.simulator))


def _measure(score: DoubtedScore | None) -> Measure | None:
    return None if score is None else score.measure


def _executed(value: float | None) -> Measure | None:
    return None if value is None else Measure(value)


def _repeated(
    text: DoubtedText,
    texts: Sequence[DoubtedText],
    scores_of: Mapping[int, Sequence[DoubtedScore]],
    simulator: str | None,
) -> tuple[float, ...]:
    """2023 scores by the same simulator: of this text, and the representatives of the method's repetitions."""
    own = [
        score.value
        for score in scores_of.get(text.id, ())
        if SCORE_2023.names(score) and score.simulator == simulator and not (text.is_imported and score.run_id is None)
    ]
    others = (_standing(other, scores_of.get(other.id, ())) for other in texts if other.repeats(text))
    again = [score.value for score in others if score is not None and score.simulator == simulator]
    return tuple(value for value in (*own, *again) if value is not None)


def _imported(text: DoubtedText, scores: Sequence[DoubtedScore], standing: DoubtedScore | None) -> float | None:
    """The score that an imported text came with, where another one was computed since."""
    if not text.is_imported or standing is None or standing.run_id is None:
        return None
    first = next((score for score in scores if SCORE_2023.names(score) and score.run_id is None), None)
    return None if first is None else first.value
