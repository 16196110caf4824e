"""Neurons counted by two of their values at once: scatter plots with too many dots to draw."""

from dataclasses import dataclass

import numpy as np

from app.domain.arrays import Float64s
from app.domain.atlas import NeuronFacts


@dataclass(frozen=True, slots=True)
class Axis:
    """A value in bins. ``name`` is the name of the list's filter; bin ``i`` is from ``edges[i - 1]`` to ``edges[i]``.

    The first bin has no lower end and the last one no upper end.
    """

    name: str
    label: str
    edges: tuple[float, ...]
    is_share: bool = False
    """Whether values are written as percentages."""

    @property
    def n_bins(self) -> int:
        """One more than there are edges."""
        return len(self.edges) + 1

    def bounds(self, number: int) -> tuple[float | None, float | None]:
        """The lower and upper end of a bin."""
        low = self.edges[number - 1] if number else None
        return low, self.edges[number] if number < len(self.edges) else None

    def words(self, number: int) -> str:
        """The bin's range in words."""
        low, high = self.bounds(number)
        if low is None:
            return f"below {self.written(high)}"
        return f"from {self.written(low)}" if high is None else f"{self.written(low)} to {self.written(high)}"

    def written(self, value: float | None) -> str:
        """The text of an edge."""
        if value is None:
            return ""
        return f"{100 * value:g}%" if self.is_share else f"{value:g}"


_TENTHS = tuple(each / 10 for each in range(10))
HEADLINES = Axis("headline", "Whole-corpus score", _TENTHS)
SCORES = Axis("score", "2023 score", _TENTHS)
RATES = Axis("rate", "Firing rate", (1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3), is_share=True)


@dataclass(frozen=True, slots=True)
class Cell:
    """The number of neurons in one bin of both axes."""

    x: int
    y: int
    n: int


@dataclass(frozen=True, slots=True)
class Grid:
    """Counts of neurons by two values; neurons that lack one of the values are left out."""

    x: Axis
    y: Axis
    n: int
    cells: tuple[Cell, ...]
    """The cells that are not empty."""
    correlation: float | None
    """Spearman's rank correlation; None if undefined."""


@dataclass(frozen=True, slots=True)
class LayerHistogram:
    """Counts of one layer's neurons by a value, one per bin."""

    layer: int
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Histograms:
    """Counts of each layer's neurons by a value."""

    axis: Axis
    layers: tuple[LayerHistogram, ...]

    @property
    def total(self) -> tuple[int, ...]:
        """The counts of all layers together."""
        return tuple(map(sum, zip(*(layer.counts for layer in self.layers), strict=True)))


@dataclass(frozen=True, slots=True)
class SubjectPlots:
    """The plots of a subject. Plots of values that no neuron has are left out."""

    histograms: tuple[Histograms, ...]
    grids: tuple[Grid, ...]


def subject_plots(facts: NeuronFacts) -> SubjectPlots:
    """Histograms of each layer, and grids of every pair of values: both kinds of score and the firing rate."""
    values = ((HEADLINES, facts.headlines), (SCORES, facts.scores), (RATES, facts.rates))
    found = [_histograms(axis, facts, own) for axis, own in values]
    pairs = ((0, 1), (2, 0), (2, 1))
    grids = [grid_of(values[x][0], values[x][1], values[y][0], values[y][1]) for x, y in pairs]
    return SubjectPlots(tuple(each for each in found if each.layers), tuple(each for each in grids if each.n))


def grid_of(x: Axis, x_values: Float64s, y: Axis, y_values: Float64s) -> Grid:
    """Parallel values counted by the bins of two axes."""
    known = ~(np.isnan(x_values) | np.isnan(y_values))
    own_x, own_y = x_values[known], y_values[known]
    at = np.digitize(own_x, x.edges) * y.n_bins + np.digitize(own_y, y.edges)
    counts = np.bincount(at, minlength=x.n_bins * y.n_bins)
    cells = tuple(Cell(*divmod(int(cell), y.n_bins), int(counts[cell])) for cell in np.flatnonzero(counts))
    return Grid(x, y, int(known.sum()), cells, _rank_correlation(own_x, own_y))


def _histograms(axis: Axis, facts: NeuronFacts, values: Float64s) -> Histograms:
    known = ~np.isnan(values)
    layers = facts.layers[known]
    n_layers = int(layers.max()) + 1 if len(layers) else 0
    at = layers * axis.n_bins + np.digitize(values[known], axis.edges)
    counts = np.bincount(at, minlength=n_layers * axis.n_bins).reshape(n_layers, axis.n_bins)
    return Histograms(axis, tuple(LayerHistogram(layer, tuple(own)) for layer, own in enumerate(counts.tolist())))


def _rank_correlation(x: Float64s, y: Float64s) -> float | None:
    """Spearman's rank correlation; equal values share their mean rank."""
    if len(x) < 2 or x.min() == x.max() or y.min() == y.max():
        return None
    return float(np.corrcoef(_ranks(x), _ranks(y))[0, 1])


def _ranks(values: Float64s) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    mean_ranks: np.ndarray[tuple[int], np.dtype[np.float64]] = ends - (counts - 1) / 2
    return mean_ranks[inverse]
