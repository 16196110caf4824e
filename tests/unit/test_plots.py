import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from app.domain.plots import HEADLINES, RATES, SCORES, grid_of, subject_plots
from app.web.rendering.plots import filters_of_bin, grid_plot, histogram_rows
from tests.unit.test_atlas import facts

NAN = float("nan")
VALUES = st.lists(st.tuples(*[st.one_of(st.just(NAN), st.floats(-1, 1, width=32))] * 2), min_size=0, max_size=30)


@given(VALUES)
def test_every_neuron_with_both_values_is_in_the_cell_of_its_values(values: list[tuple[float, float]]) -> None:
    x, y = (np.array([pair[at] for pair in values], dtype=np.float64) for at in (0, 1))
    grid = grid_of(HEADLINES, x, SCORES, y)
    known = [(a, b) for a, b in zip(x, y, strict=True) if not (np.isnan(a) or np.isnan(b))]
    assert sum(cell.n for cell in grid.cells) == grid.n == len(known)
    for cell in grid.cells:
        (low_x, high_x), (low_y, high_y) = grid.x.bounds(cell.x), grid.y.bounds(cell.y)
        inside = [
            (low_x is None or a >= low_x)
            and (high_x is None or a < high_x)
            and (low_y is None or b >= low_y)
            and (high_y is None or b < high_y)
            for a, b in known
        ]
        assert sum(inside) == cell.n


def test_the_correlation_is_that_of_ranks_with_ties() -> None:
    random = np.random.default_rng(0)
    x = random.integers(0, 5, 50).astype(np.float64)
    y = (x + random.integers(0, 4, 50)).astype(np.float64)
    assert grid_of(HEADLINES, x, SCORES, y).correlation == pytest.approx(float(spearmanr(x, y).statistic))
    assert grid_of(HEADLINES, x[:1], SCORES, y[:1]).correlation is None
    assert grid_of(HEADLINES, x * 0, SCORES, y).correlation is None


def test_what_no_neuron_has_is_not_plotted() -> None:
    plots = subject_plots(facts([(0, 0), (2, 1)], scores=[0.25, -0.5]))
    assert [found.axis for found in plots.histograms] == [SCORES]
    assert plots.grids == ()
    (found,) = plots.histograms
    assert [layer.counts[:4] for layer in found.layers] == [(0, 0, 0, 1), (0, 0, 0, 0), (1, 0, 0, 0)]
    assert found.total[:4] == (1, 0, 0, 1)


def test_a_bin_is_a_filter_of_the_list() -> None:
    assert filters_of_bin(SCORES, 0) == {"score_max": "0"}
    assert filters_of_bin(SCORES, 3) == {"score_min": "0.2", "score_max": "0.3"}
    assert filters_of_bin(RATES, RATES.n_bins - 1) == {"rate_min": "0.3"}
    assert [RATES.words(at) for at in (0, 1, RATES.n_bins - 1)] == ["below 0.001%", "0.001% to 0.01%", "from 30%"]


def test_each_square_and_each_bar_is_a_link_with_its_count() -> None:
    plots = subject_plots(facts([(0, 0), (0, 1)], scores=[0.25, 0.25], headlines=[0.5, 0.55]))
    (grid,) = plots.grids
    svg = str(grid_plot(grid, "/tiny"))
    (link,) = re.findall(r'<a href="([^"]+)"', svg)
    assert link == "/tiny?headline_min=0.5&amp;headline_max=0.6&amp;score_min=0.2&amp;score_max=0.3"
    assert "Whole-corpus score 0.5 to 0.6, 2023 score 0.2 to 0.3: 2" in svg
    assert 'href="/methods?a=1&amp;cell=6-3#pairs"' in str(grid_plot(grid, "/methods?a=1"))
    rows = str(histogram_rows(plots.histograms[1], "/tiny", is_total=False))
    assert (
        'href="/tiny?layer=0&amp;score_min=0.2&amp;score_max=0.3" aria-label="layer 0, 2023 score 0.2 to 0.3: 2"'
        in rows
    )
    assert 'href="/tiny?score_min=0.2' in str(histogram_rows(plots.histograms[1], "/tiny", is_total=True))
