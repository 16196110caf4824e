"""All neurons of a subject in one compact picture: a byte for each neuron and property, and a row for each layer.

A subject's neurons are a grid of ``n_layers`` x ``width``. A picture is made of five planes of that grid
(``Plane``), one byte per neuron, concatenated after a header:

    4 bytes ``NATL``, 3 little-endian uint32: version, n_layers, width; then each plane in the order of ``Plane``,
    layer by layer, in each layer by index.

A byte is a step of the plane's scale (``SCALES``), counted from 1; 0 means that the neuron has no value.
"""

import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.domain.arrays import Bools, Float64s, Int64s

Bytes: TypeAlias = NDArray[np.uint8]

MAGIC, VERSION = b"NATL", 1
HEADER = struct.Struct("<4s3I")
MOST_CELLS = 4_000_000
"""A grid with more cells is not drawn; the page shows a table instead."""
LOWEST_SCORE = -0.25
"""The lower end of the scale of scores, whose upper end is 1. Lower scores are drawn like this one."""


class Plane(StrEnum):
    """A property of neurons that the atlas shows."""

    HEADLINE = "headline"
    SCORE = "score"
    """The 2023 score."""
    RATE = "rate"
    DOUBTS = "doubts"
    STATE = "state"

    @property
    def label(self) -> str:
        """The name that pages show."""
        return _LABELS[self]


_LABELS = {
    Plane.HEADLINE: "Whole-corpus score",
    Plane.SCORE: "2023 score",
    Plane.RATE: "Firing rate",
    Plane.DOUBTS: "Doubts",
    Plane.STATE: "State",
}


class AtlasState(StrEnum):
    """The state that decides a neuron's colour; its byte is its position, counted from 1. A later state overrides an
    earlier one.
    """

    UNEXPLAINED = "unexplained"
    EXPLAINED = "explained"
    NEEDS_EXPLANATION = "needs_explanation"
    FLAGGED = "flagged"


@dataclass(frozen=True, slots=True)
class Scale:
    """Meaning of a plane's bytes: byte ``b`` > 0 is the value ``low + (b - 1) * step``, or its log10 (``is_log10``)."""

    low: float
    step: float
    steps: int
    is_log10: bool = False

    def pack(self, values: Float64s) -> Bytes:
        """The byte of the step nearest to each value; values beyond the ends get the end steps, NaN gets 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            scaled = np.log10(values) if self.is_log10 else values
            steps = np.round((scaled - self.low) / self.step)
        return np.where(np.isnan(values), 0, 1 + np.clip(np.nan_to_num(steps), 0, self.steps)).astype(np.uint8)


_SCORES = Scale(LOWEST_SCORE, 0.01, 125)
SCALES = {
    Plane.HEADLINE: _SCORES,
    Plane.SCORE: _SCORES,
    Plane.RATE: Scale(-6.0, 0.05, 120, is_log10=True),
    Plane.DOUBTS: Scale(0.0, 1.0, 8),
    Plane.STATE: Scale(0.0, 1.0, len(AtlasState) - 1),
}


@dataclass(frozen=True, slots=True)
class NeuronFacts:
    """Facts about a subject's neurons: parallel arrays, in any order. NaN means not known."""

    layers: Int64s
    indices: Int64s
    headlines: Float64s
    scores: Float64s
    rates: Float64s
    """Share of tokens on which the activation is above 0."""
    doubts: Int64s
    """Number of automatic doubts about the explanation."""
    is_explained: Bools
    is_flagged: Bools
    is_rejected: Bools
    """Whether reviewers have rejected every explanation of the neuron."""


@dataclass(frozen=True, slots=True)
class LayerFigures:
    """The figures of one layer. Medians are None if no neuron has a value."""

    layer: int
    n_neurons: int
    n_explained: int
    n_doubtful: int
    n_flagged: int
    n_rejected: int
    headline: float | None
    score: float | None
    rate: float | None


def pack_atlas(facts: NeuronFacts, *, n_layers: int, width: int) -> bytes | None:
    """The planes of a subject's neurons behind their header; None if the grid has more than ``MOST_CELLS`` cells.

    The grid is at least ``n_layers`` x ``width`` cells, and larger if a neuron lies outside of that.
    """
    n_layers = max(n_layers, _end(facts.layers))
    width = max(width, _end(facts.indices))
    if n_layers * width > MOST_CELLS:
        return None
    at = facts.layers * width + facts.indices
    parts = [HEADER.pack(MAGIC, VERSION, n_layers, width)]
    for values in _planes(facts).values():
        plane = np.zeros(n_layers * width, dtype=np.uint8)
        plane[at] = values
        parts.append(plane.tobytes())
    return b"".join(parts)


def layer_figures(facts: NeuronFacts) -> tuple[LayerFigures, ...]:
    """The figures of every layer that has neurons."""
    order = np.argsort(facts.layers, kind="stable")
    layers, starts = np.unique(facts.layers[order], return_index=True)
    return tuple(
        _figures(int(layer), facts, own) for layer, own in zip(layers, np.split(order, starts[1:]), strict=False)
    )


def _end(numbers: Int64s) -> int:
    return int(numbers.max()) + 1 if len(numbers) else 0


def _planes(facts: NeuronFacts) -> dict[Plane, Bytes]:
    doubts = np.where(facts.is_explained, facts.doubts, np.nan).astype(np.float64)
    state = np.select([facts.is_flagged, facts.is_rejected, facts.is_explained], [3.0, 2.0, 1.0], 0.0)
    values = {
        Plane.HEADLINE: facts.headlines,
        Plane.SCORE: facts.scores,
        Plane.RATE: facts.rates,
        Plane.DOUBTS: doubts,
        Plane.STATE: state.astype(np.float64),
    }
    return {plane: SCALES[plane].pack(values[plane]) for plane in Plane}


def _figures(layer: int, facts: NeuronFacts, own: Int64s) -> LayerFigures:
    return LayerFigures(
        layer=layer,
        n_neurons=len(own),
        n_explained=int(facts.is_explained[own].sum()),
        n_doubtful=int((facts.doubts[own] > 0).sum()),
        n_flagged=int(facts.is_flagged[own].sum()),
        n_rejected=int(facts.is_rejected[own].sum()),
        headline=_median(facts.headlines[own]),
        score=_median(facts.scores[own]),
        rate=_median(facts.rates[own]),
    )


def _median(values: Float64s) -> float | None:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else None
