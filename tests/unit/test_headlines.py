"""Which score represents an explanation over the whole corpus, with which sides."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.headlines import UNKNOWN, Headline, Side, headline_of


@dataclass(frozen=True)
class Scored:
    scorer: str
    value: float | None = 0.5
    sample: str = "corpus"
    simulator: str | None = "lexical"
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


def test_a_2023_score_is_no_headline() -> None:
    assert headline_of(ESTIMATE[:1], made_by_method=True) is None


def test_the_simulator_of_a_methods_first_score_decides() -> None:
    other = tuple(replace(score, value=0.99, simulator="structured") for score in ESTIMATE)
    assert found(*ESTIMATE, *other).score.value == 0.4
    assert found(*ESTIMATE, *other, made_by_method=False).score.value == 0.99


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_nothing_is_chosen_for_being_high(values: list[float]) -> None:
    scores = [replace(EXECUTED, value=value) for value in values]
    assert found(*scores).score.value == values[-1]
