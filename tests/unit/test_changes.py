"""What a new explanation has changed, by which scores."""

from dataclasses import dataclass

import pytest

from app.domain.changes import Change, ScoredText, compared
from app.domain.headlines import SCORE_ESTIMATED
from app.domain.standing import SCORE_2023, SCORE_EXECUTED, ScoreName


@dataclass(frozen=True)
class Score:
    name: ScoreName
    value: float | None
    simulator: str | None = "lexical"
    run_id: int | None = None
    undefined_reason: str | None = None
    interval_low: float | None = None
    interval_high: float | None = None
    token_lookup_baseline: float | None = None
    precision: float | None = None
    recall: float | None = None

    @property
    def scorer(self) -> str:
        return self.name.scorer

    @property
    def sample(self) -> str:
        return self.name.sample


def text(words: str, *scores: Score) -> ScoredText:
    return ScoredText(words, scores, made_by_method=True)


OLD = text("old", Score(SCORE_EXECUTED, 0.5), Score(SCORE_ESTIMATED, 0.4), Score(SCORE_2023, 0.8))


@pytest.mark.parametrize(
    ("before", "after", "change", "scorer", "difference"),
    [
        (None, text("new", Score(SCORE_2023, 0.5)), Change.FIRST, None, None),
        (OLD, text("new", Score(SCORE_EXECUTED, 0.7)), Change.BETTER, SCORE_EXECUTED.scorer, 0.2),
        # Both have an estimate: an exact score is not compared with one.
        (OLD, text("new", Score(SCORE_ESTIMATED, 0.3)), Change.WORSE, SCORE_ESTIMATED.scorer, -0.1),
        (OLD, text("new", Score(SCORE_2023, 0.8049)), Change.SAME, SCORE_2023.scorer, 0.0049),
        (OLD, text("new", Score(SCORE_2023, 0.806)), Change.BETTER, SCORE_2023.scorer, 0.006),
        (OLD, text("new", Score(SCORE_2023, 0.9, simulator="structured")), Change.UNCLEAR, None, None),
        (OLD, text("new", Score(SCORE_2023, None)), Change.UNCLEAR, None, None),
        (OLD, text("new"), Change.UNCLEAR, None, None),
        # The same text is the same, whatever a newer scorer says of it.
        (OLD, text("old", Score(SCORE_2023, 0.9)), Change.SAME, SCORE_2023.scorer, 0.1),
        (OLD, text("old"), Change.SAME, None, None),
        (text("old", Score(SCORE_2023, None)), text("new", Score(SCORE_2023, 0.5)), Change.UNCLEAR, None, None),
    ],
)
def test_a_change_is_measured_by_the_first_score_that_both_have(
    before: ScoredText | None, after: ScoredText, change: Change, scorer: str | None, difference: float | None
) -> None:
    found = compared(before, after)
    assert (found.change, found.scorer) == (change, scorer)
    assert found.difference == (None if difference is None else pytest.approx(difference))


def test_what_cannot_be_compared_still_shows_both_scores() -> None:
    found = compared(OLD, text("new", Score(SCORE_2023, 0.9, simulator="structured")))
    assert (found.before, found.after) == (0.5, 0.9)
