from datetime import UTC, datetime, timedelta

import pytest

from app.web.rendering import filters


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (filters.count(1234567), "1,234,567"),
        (filters.score(None), "–"),
        (filters.score(-0.123), "−0.12"),
        (filters.number(0.000123456), "0.000123"),
        (filters.aligned(3.2), "3.20"),
        (filters.aligned(-1.79e-7), "0"),
        (filters.aligned(12345.6), "12346"),
        (filters.percent(0.5), "50.0 %"),
        (filters.percent(0.00123), "0.12 %"),
        (filters.percent(0), "0.0 %"),
        (filters.duration(35), "35 s"),
        (filters.duration(125), "2 min 5 s"),
        (filters.duration(3720), "1 h 02 min"),
        (filters.duration(90000), "25 h 00 min"),
        (filters.plural(1, "run"), "1 run"),
        (filters.plural(2000, "run"), "2,000 runs"),
        (filters.words("top_and_random"), "top and random"),
        (filters.kind_title("top"), "Top excerpts"),
        (filters.kind_title("something_new"), "something_new"),
    ],
)
def test_numbers_and_words_are_written_for_people(written: str, text: str) -> None:
    assert written == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "just now"), (30, "just now"), (120, "2 min ago"), (7300, "2 h ago"), (200000, "2 d ago")],
)
def test_moments_are_told_in_the_largest_unit(seconds: int, text: str) -> None:
    assert filters.ago(datetime.now(UTC) - timedelta(seconds=seconds)) == text


def test_lists_of_numbers_stand_in_one_line() -> None:
    assert (
        filters.pretty_json({"a": [1, -2.5, 3e-7], "b": ["x"]})
        == '{\n  "a": [ 1, -2.5, 3e-07 ],\n  "b": [\n    "x"\n  ]\n}'
    )
