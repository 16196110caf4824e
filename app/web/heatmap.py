"""Excerpts as heatmaps: one coloured cell per token, its number in the cell's title.

Steps are classes (``h1``..``h10`` above 0, ``n1``..``n10`` below; a cell without one is step 0), so that
no style stands in a page. A folded row is one line around its peak; unfolded, by keyboard too, it wraps
and the style sheet prints each number under its token. Attributes are written without quotes and cells
with one-letter elements: a neuron's page has about five thousand of them.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from app.domain.activations import FloatArray, IntArray
from app.web.glyphs import joined
from app.web.vocabularies import ShownVocabulary

# By step, the negative ones from the end of the list.
_OPEN = [
    "<i title=",
    *(f"<i class=h{step} title=" for step in range(1, 11)),
    *(f"<i class=n{step} title=" for step in range(10, 0, -1)),
]


class _Numbers(dict[int, str]):
    """The text of each float16, by its bits: there are only 65,536."""

    def __missing__(self, bits: int) -> str:
        value = float(np.uint16(bits).view(np.float16)) + 0.0  # no minus before a zero
        text = self[bits] = f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
        return text


_NUMBERS = _Numbers()


@dataclass(frozen=True, slots=True)
class Heat:
    """A row of T tokens: what the cells show, and where the row is centred."""

    token_ids: Sequence[int]
    steps: Sequence[int]
    numbers: Sequence[str]
    peak: int


def heat_rows(token_ids: Sequence[Sequence[int]], flat: FloatArray, steps: IntArray) -> list[Heat]:
    """Rows whose values and steps are laid end to end in ``flat`` and ``steps``; centred on the highest value."""
    all_steps, numbers = steps.tolist(), number_texts(flat)
    rows, start = [], 0
    for tokens in token_ids:
        end = start + len(tokens)
        peak = int(flat[start:end].argmax()) if tokens else 0
        rows.append(Heat(tokens, all_steps[start:end], numbers[start:end], peak))
        start = end
    return rows


def number_texts(values: FloatArray) -> list[str]:
    """The text of each value, rounded as a float16."""
    return list(map(_NUMBERS.__getitem__, values.astype(np.float16).view(np.uint16).tolist()))


def excerpt_line(heat: Heat, words: ShownVocabulary) -> Markup:
    """The cells of a row in three parts: before its peak, the peak, after it."""
    cells, starts = _cells(heat, words)
    return _in_three_parts(cells, _place_of(heat.peak, starts))


def stacked_line(real: Heat, simulated: Heat, residual: Heat, words: ShownVocabulary) -> Markup:
    """Real over simulated over their difference: three cells per token, on one scale."""
    cells, starts = _cells(real, words)
    under = [
        f"{_OPEN[s]}{a}></i>{_OPEN[r]}{b}></i>"
        for s, a, r, b in zip(simulated.steps, simulated.numbers, residual.steps, residual.numbers, strict=True)
    ]
    columns = [f"<b>{cell}{under[start]}</b>" for cell, start in zip(cells, starts, strict=True)]
    return _in_three_parts(columns, _place_of(real.peak, starts))


def _cells(heat: Heat, words: ShownVocabulary) -> tuple[list[str], Sequence[int]]:
    """The cells of a row, each with the place of its first token."""
    tokens = heat.token_ids
    if not words.parts.isdisjoint(tokens):
        return _joined_cells(heat, words)
    opened, closed = map(_OPEN.__getitem__, heat.steps), map(words.cell_ends.__getitem__, tokens)
    cells = [f"{start}{number}{end}" for start, number, end in zip(opened, heat.numbers, closed, strict=True)]
    return cells, range(len(cells))


def _joined_cells(heat: Heat, words: ShownVocabulary) -> tuple[list[str], list[int]]:
    """Cells where tokens that share a character are one: all their numbers, the strongest one's colour."""
    cells: list[str] = []
    starts: list[int] = []
    start = 0
    for size, text in joined([words.vocabulary.tokens[t] for t in heat.token_ids]):
        place = range(start, start + size)
        strongest = max(place, key=lambda i: abs(heat.steps[i]))
        numbers = heat.numbers[start] if size == 1 else '"' + " ".join(heat.numbers[i] for i in place) + '"'
        cells.append(f"{_OPEN[heat.steps[strongest]]}{numbers}>{text}</i>")
        starts.append(start)
        start += size
    return cells, starts


def _place_of(token: int, starts: Sequence[int]) -> int:
    """The cell that shows a token."""
    return max(0, bisect_right(starts, token) - 1)


def _in_three_parts(cells: Sequence[str], peak: int) -> Markup:
    before, after = "".join(cells[:peak]), "".join(cells[peak + 1 :])
    middle = cells[peak] if cells else ""
    # Every text in the cells was escaped by ``glyphs``.
    return Markup(f"<span class=l><span>{before}</span></span>{middle}<span class=r>{after}</span>")  # noqa: S704
