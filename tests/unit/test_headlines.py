"""Which score represents an explanation over the whole corpus, with which sides."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.headlines import UNKNOWN, Headline, HeadlineKind, Side, headline_of


@dataclass(frozen=True)
class Scored:
    scorer: str
    value: float | None = 0.5
    sample: str = "corpus"
    simulator: str | None = "lexical"
    run_id: int | None = 1
    undefined_reason: str | None = None
    interval_low: float | None = None
    interval_high: float | None = None
    token_lookup_baseline: float | None = None
    precision: float | None = None
    recall: float | None = None


ESTIMATE = (
    Scored("correlation", 0.9, "top_and_random"),
    Scored("whole_corpus", 0.4, interval_low=0.2, interval_high=0.5),
    Scored("whole_corpus_margin", -0.1, interval_low=-0.2, interval_high=0.1),
    Scored("whole_corpus_precision", 0.3),
    Scored("whole_corpus_recall", None, undefined_reason="the neuron fires on no scored token"),
)
EXECUTED = Scored("executed", 0.2, token_lookup_baseline=0.15, precision=0.25, recall=0.75)


def found(*scores: Scored, made_by_method: bool = True) -> Headline[Scored]:
    headline = headline_of(scores, made_by_method=made_by_method)
    assert headline is not None
    return headline


def test_the_estimate_speaks_with_its_sides_where_nothing_was_executed() -> None:
    headline = found(*ESTIMATE)
    assert (headline.score.value, headline.interval, headline.is_exact) == (0.4, (0.2, 0.5), False)
    assert headline.precision == Side(0.3)
    assert headline.recall == Side(None, None, "the neuron fires on no scored token")
    assert headline.margin == Side(-0.1, (-0.2, 0.1))


def test_the_executed_score_takes_its_place_though_it_is_lower() -> None:
    headline = found(*ESTIMATE, EXECUTED)
    assert (headline.score.value, headline.interval, headline.is_exact) == (0.2, None, True)
    assert (headline.precision, headline.recall) == (Side(0.25), Side(0.75))
    assert headline.margin.value == pytest.approx(0.05)


def test_a_text_that_cannot_be_executed_keeps_its_estimate() -> None:
    assert found(*ESTIMATE, replace(EXECUTED, value=None, undefined_reason="no claim")).score.value == 0.4
    alone = found(replace(EXECUTED, value=None, undefined_reason="no claim"))
    assert (alone.score.undefined_reason, alone.margin) == ("no claim", UNKNOWN)


OLD = Scored("correlation", 0.9, "top_and_random", token_lookup_baseline=0.7)
OLD_MARGIN = Scored("correlation_margin", 0.2, "top_and_random", interval_low=0.1, interval_high=0.3)
NO_CLAIM = replace(EXECUTED, value=None, undefined_reason="no claim")
CONSTANT = replace(ESTIMATE[1], value=None, undefined_reason="constant")
EMPTY = replace(OLD, value=None, undefined_reason="no excerpt")
ESTIMATED_SIDES = (0.3, None)
CASES: tuple[tuple[tuple[Scored, ...], tuple[str, float | None], tuple[float | None, ...]], ...] = (
    # scores; kind and value of the headline; precision, recall, margin
    ((OLD,), ("score_2023", 0.9), (None, None, 0.2)),
    ((OLD, OLD_MARGIN), ("score_2023", 0.9), (None, None, 0.2)),
    ((OLD, *ESTIMATE), ("estimated", 0.4), (*ESTIMATED_SIDES, -0.1)),
    ((OLD, EXECUTED), ("executed", 0.2), (0.25, 0.75, 0.05)),
    ((OLD, *ESTIMATE, EXECUTED), ("executed", 0.2), (0.25, 0.75, 0.05)),
    ((EXECUTED,), ("executed", 0.2), (0.25, 0.75, 0.05)),
    # a text that cannot be executed: the estimate speaks, or the 2023 score under its name
    ((OLD, *ESTIMATE, NO_CLAIM), ("estimated", 0.4), (*ESTIMATED_SIDES, -0.1)),
    ((OLD, NO_CLAIM), ("score_2023", 0.9), (None, None, 0.2)),
    # an estimate that is undefined: its sides are known all the same
    ((OLD, CONSTANT, *ESTIMATE[2:]), ("score_2023", 0.9), (*ESTIMATED_SIDES, 0.2)),
    ((OLD, CONSTANT, NO_CLAIM), ("score_2023", 0.9), (None, None, 0.2)),
    # nothing is defined
    ((NO_CLAIM,), ("executed", None), (0.25, 0.75, None)),
    ((CONSTANT, NO_CLAIM), ("estimated", None), (None, None, None)),
    ((EMPTY, NO_CLAIM), ("score_2023", None), (None, None, None)),
    # a margin of another run was measured on other simulations
    ((OLD, replace(OLD_MARGIN, run_id=2, value=0.5)), ("score_2023", 0.9), (None, None, 0.2)),
    # another sample of the scorer, and another scorer, are no headline
    ((replace(OLD, sample="random"), OLD), ("score_2023", 0.9), (None, None, 0.2)),
)


@pytest.mark.parametrize(("scores", "speaking", "beside"), CASES)
def test_one_score_speaks_for_an_explanation(
    scores: tuple[Scored, ...], speaking: tuple[str, float | None], beside: tuple[float | None, ...]
) -> None:
    for order in (scores, scores[::-1]):
        headline = found(*order)
        assert (headline.kind, headline.score.value) == speaking
        sides = (headline.precision.value, headline.recall.value, headline.margin.value)
        assert sides == tuple(None if side is None else pytest.approx(side) for side in beside)
        assert headline.is_whole_corpus == (headline.kind is not HeadlineKind.SCORE_2023)
        assert headline.score.sample == ("corpus" if headline.is_whole_corpus else "top_and_random")


def test_without_a_score_that_may_speak_there_is_no_headline() -> None:
    assert headline_of((replace(OLD, sample="random"), Scored("ablation", 0.9)), made_by_method=True) is None


def test_the_token_tables_score_follows_from_the_margin() -> None:
    assert found(OLD).token_table == pytest.approx(0.7)
    assert found(*ESTIMATE).token_table == pytest.approx(0.5)
    assert found(NO_CLAIM).token_table is None


def test_the_simulator_of_a_methods_first_score_decides() -> None:
    other = tuple(replace(score, value=0.99, simulator="structured") for score in ESTIMATE)
    assert found(*ESTIMATE, *other).score.value == 0.4
    assert found(*ESTIMATE, *other, made_by_method=False).score.value == 0.99


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_nothing_is_chosen_for_being_high(values: list[float]) -> None:
    scores = [replace(EXECUTED, value=value) for value in values]
    assert found(*scores).score.value == values[-1]
