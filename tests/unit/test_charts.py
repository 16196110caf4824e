"""Bars whose parts are seen however few they count, and links that list what is counted."""

import re

import pytest

from app.queries.subjects.overview import TablePair
from app.web.rendering.charts import BAR_WIDTH, against_table, score_rows, stacked_bar


def widths(svg: str) -> list[float]:
    return [float(w) for w in re.findall(r'width="([\d.]+)" height="16"', svg)]


@pytest.mark.parametrize("counts", [(1, 1, 1), (307_000, 1, 0), (5, 0, 0), (1, 1_000_000, 2)])
def test_every_part_of_a_bar_is_seen_and_they_fill_it(counts: tuple[int, ...]) -> None:
    svg = str(stacked_bar([("better", counts[0], ""), ("same", counts[1], ""), ("worse", counts[2], "")], "said"))
    drawn = widths(svg)
    assert len(drawn) == sum(n > 0 for n in counts)
    assert min(drawn) >= 2.9
    assert sum(drawn) + len(drawn) == pytest.approx(BAR_WIDTH, abs=1.0)
    assert 'aria-label="said"' in svg


def test_nothing_is_drawn_of_nothing() -> None:
    assert stacked_bar([("better", 0, "")], "said") == ""
    assert against_table(()) == ""


def test_a_row_has_a_link_per_bar_that_counts_something() -> None:
    counts = (1, *([0] * 8), 2, 3, *([0] * 9), 4)
    svg = str(score_rows([("layer 3", counts, "/tiny?layer=3&")], ("score_min", "score_max"), "2023 score"))
    assert re.findall(r'<a href="([^"]+)" aria-label="([^"]+)"', svg) == [
        ("/tiny?layer=3&amp;score_max=-0.001", "layer 3, below 0: 1"),
        ("/tiny?layer=3&amp;score_min=0.4&amp;score_max=0.5", "layer 3, 0.4 to 0.5: 5"),
        ("/tiny?layer=3&amp;score_min=0.9&amp;score_max=1", "layer 3, 0.9 to 1: 4"),
    ]


def test_names_are_escaped() -> None:
    svg = str(score_rows([("<b>", (1, *[0] * 20), "/x?")], ("a", "b"), "<i>"))
    assert "<b>" not in svg
    assert "<i>" not in svg


def test_the_plot_says_how_many_are_above_the_line() -> None:
    svg = str(against_table((TablePair(15, 5, 7), TablePair(5, 5, 2), TablePair(3, 8, 1))))
    assert "7 of 10 neurons clearly above the diagonal" in svg
    assert svg.count('class="above"') == 1
    assert svg.count('class="below"') == 2
