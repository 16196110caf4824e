"""Conversion of an explanation's stored scores to the facts from which doubts follow."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from app.domain.doubt_rules import Measure, ScoreFacts
from app.domain.headlines import Headline, HeadlineKind, Side, headline_of
from app.domain.imports import RECOMPUTED
from app.domain.samples import SampleKind
from app.domain.standing import SCORE_2023, ScoreName, standing_score
from app.domain.steps.scorers import NEIGHBOURS

ON_RANDOM = ScoreName(SCORE_2023.scorer, SampleKind.RANDOM)
_RECOMPUTED = ScoreName(RECOMPUTED, SCORE_2023.sample)


@dataclass(frozen=True, slots=True)
class DoubtedText:
    """The fields of an explanation that the rules need."""

    id: int
    neuron_id: int
    text: str
    rank: int
    method_id: int | None
    collection_id: int | None
    is_imported: bool

    def repeats(self, other: "DoubtedText") -> bool:
        """Whether both explanations are the same candidate of two runs of a method on one collection."""
        return self.method_id is not None and (self.method_id, self.collection_id, self.rank) == (
            other.method_id,
            other.collection_id,
            other.rank,
        )


@dataclass(frozen=True, slots=True)
class DoubtedScore:
    """The fields of a score that the rules need."""

    explanation_id: int
    scorer: str
    sample: str
    simulator: str | None
    run_id: int | None
    collection_id: int | None
    value: float | None
    undefined_reason: str | None
    interval_low: float | None
    interval_high: float | None
    n_valid: int
    n_failed: int
    token_lookup_baseline: float | None
    shuffled_baseline: float | None
    chance: float | None
    precision: float | None
    """The precision of an executed explanation; ``recall`` is its recall."""
    recall: float | None

    @property
    def measure(self) -> Measure | None:
        """The score's value with its interval; None if it is undefined."""
        if self.value is None:
            return None
        if self.interval_low is None or self.interval_high is None:
            return Measure(self.value)
        return Measure(self.value, (self.interval_low, self.interval_high))


TwinShare = Callable[[float, HeadlineKind, str | None], float | None]
"""Function from a score, its kind and its simulator to the share of the null twin's layer that scores as high."""


def score_facts(
    text: DoubtedText,
    texts: Sequence[DoubtedText],
    scores_of: Mapping[int, Sequence[DoubtedScore]],
    twin_share: TwinShare,
) -> ScoreFacts:
    """The facts of one explanation. ``texts`` are its neuron's; ``scores_of`` has each one's scores in stored order."""
    own = scores_of.get(text.id, ())
    headline = _headline(text, own)
    neighbours = _newest(own, lambda score: score.scorer == NEIGHBOURS.name)
    old = standing_score(own, SCORE_2023, made_by_method=text.method_id is not None)
    facts = ScoreFacts(
        against_neighbours=_measure(neighbours),
        chance_against_neighbours=0.25 if neighbours is None or neighbours.chance is None else neighbours.chance,
        score_2023=None if old is None else old.value,
        imported=_imported(text, own, old),
        stated=_stated(text, own, SCORE_2023),
        recomputed=_stated(text, own, _RECOMPUTED),
    )
    if headline is None:
        return facts
    score = headline.score
    return replace(
        facts,
        score=score.measure,
        is_whole_corpus=headline.is_whole_corpus,
        token_table=headline.token_table,
        shuffled=score.shuffled_baseline,
        on_random=_measure(_newest(own, lambda s: ON_RANDOM.names(s) and s.simulator == score.simulator)),
        twin_share=None if score.value is None else twin_share(score.value, headline.kind, score.simulator),
        precision=_side(headline.precision),
        recall=_side(headline.recall),
        n_valid=score.n_valid,
        n_failed=score.n_failed,
        repeated=_repeated(text, texts, scores_of, headline),
    )


def _headline(text: DoubtedText, scores: Sequence[DoubtedScore]) -> Headline[DoubtedScore] | None:
    return headline_of(scores, made_by_method=text.method_id is not None)


def _newest(scores: Sequence[DoubtedScore], wanted: Callable[[DoubtedScore], bool]) -> DoubtedScore | None:
    return next((score for score in reversed(scores) if wanted(score)), None)


def _measure(score: DoubtedScore | None) -> Measure | None:
    return None if score is None else score.measure


def _side(side: Side) -> Measure | None:
    return None if side.value is None else Measure(side.value, side.interval)


def _repeated(
    text: DoubtedText,
    texts: Sequence[DoubtedText],
    scores_of: Mapping[int, Sequence[DoubtedScore]],
    headline: Headline[DoubtedScore],
) -> tuple[float, ...]:
    """Scores of the headline's kind, simulator and collection, by this text and by repeated runs of its method."""
    shown, name = headline.score, headline.kind.name_of_score

    def is_like_it(score: DoubtedScore) -> bool:
        return name.names(score) and (score.simulator, score.collection_id) == (shown.simulator, shown.collection_id)

    own = [
        score.value
        for score in scores_of.get(text.id, ())
        if is_like_it(score) and not (text.is_imported and score.run_id is None)
    ]
    others = (_headline(other, scores_of.get(other.id, ())) for other in texts if other.repeats(text))
    again = [other.score.value for other in others if other is not None and is_like_it(other.score)]
    return tuple(value for value in (*own, *again) if value is not None)


def _stated(text: DoubtedText, scores: Sequence[DoubtedScore], name: ScoreName) -> float | None:
    """The score of this name that was imported together with the text."""
    if not text.is_imported:
        return None
    first = next((score for score in scores if name.names(score) and score.run_id is None), None)
    return None if first is None else first.value


def _imported(text: DoubtedText, scores: Sequence[DoubtedScore], computed: DoubtedScore | None) -> float | None:
    """The 2023 score that was imported with the text, if another one was computed since."""
    if not text.is_imported or computed is None or computed.run_id is None:
        return None
    first = next((score for score in scores if SCORE_2023.names(score) and score.run_id is None), None)
    return None if first is None else first.value
