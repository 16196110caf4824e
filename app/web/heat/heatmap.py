"""Excerpts as heatmaps: one coloured cell per token, its number in the cell's title.

Steps are classes (``h1``..``h10`` above 0, ``n1``..``n10`` below; a cell without one is step 0), so that
no page contains a style. A folded row is one line around its peak; unfolded, by keyboard too, it wraps
and the style sheet prints each number under its token. Attributes are written without quotes and cells
with one-letter elements: a neuron's page has about five thousand of them.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain

import numpy as np
from markupsafe import Markup

from app.domain.activations import FloatArray, IntArray
from app.web.heat.glyphs import joined
from app.web.heat.vocabularies import ShownVocabulary, TextArray, text_array

# By step, the negative ones from the end of the array.
_OPEN = text_array(
    [
        "<i title=",
        *(f"<i class=h{step} title=" for step in range(1, 11)),
        *(f"<i class=n{step} title=" for step in range(10, 0, -1)),
    ]
)


# Opening tag, number and end of a real cell; opening tag and number of the two under it, which are empty.
_STACKED = ["<b>", "", "", "", "", "", "></i>", "", "", "></i>", "</b>"]


@cache
def _numbers() -> TextArray:
    """The text of each float16, by its bits: there are only 65,536."""
    with np.errstate(invalid="ignore"):  # some of the bits are no number
        values = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float64) + 0.0  # no minus before a zero
    known: dict[str, str] = {}
    texts = (f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}" for value in values.tolist())
    return text_array([known.setdefault(text, text) for text in texts])


@dataclass(frozen=True, slots=True)
class Heat:
    """A row of T tokens: what the cells show, and where the row is centred."""

    token_ids: Sequence[int]
    steps: Sequence[int]
    parts: Sequence[str]
    """Three for each cell: its opening tag, its number, its end."""
    peak: int


def heat_rows(
    token_ids: Sequence[Sequence[int]], flat: FloatArray, steps: IntArray, words: ShownVocabulary
) -> list[Heat]:
    """Rows whose values and steps are laid end to end in ``flat`` and ``steps``; centred on the highest value."""
    # All cells at once by tables: one by one they would take most of a page's time.
    cells = np.empty((len(flat), 3), dtype=object)
    cells[:, 0] = _OPEN[steps]
    cells[:, 1] = _numbers()[_bits(flat)]
    cells[:, 2] = words.cell_ends[np.fromiter(chain.from_iterable(token_ids), np.intp, len(flat))]
    parts, all_steps = cells.ravel().tolist(), steps.tolist()
    rows, start = [], 0
    for tokens in token_ids:
        end = start + len(tokens)
        peak = int(flat[start:end].argmax()) if tokens else 0
        rows.append(Heat(tokens, all_steps[start:end], parts[3 * start : 3 * end], peak))
        start = end
    return rows


def number_texts(values: FloatArray) -> list[str]:
    """The text of each value, rounded as a float16."""
    texts: list[str] = _numbers()[_bits(values)].tolist()
    return texts


def _bits(values: FloatArray) -> IntArray:
    return values.astype(np.float16).view(np.uint16)


def excerpt_line(heat: Heat, words: ShownVocabulary) -> Markup:
    """The cells of a row in three parts: before its peak, the peak, after it."""
    if words.parts.isdisjoint(heat.token_ids):
        return _in_three_parts(heat.parts, 3 * heat.peak, 3)
    cells, starts = _joined_cells(heat, words)
    return _in_three_parts(cells, _place_of(heat.peak, starts))


def stacked_line(real: Heat, simulated: Heat, residual: Heat, words: ShownVocabulary) -> Markup:
    """Real over simulated over their difference: three cells per token, on one scale."""
    if words.parts.isdisjoint(real.token_ids):
        return _in_three_parts(_stacked_parts(real, simulated, residual), len(_STACKED) * real.peak, len(_STACKED))
    cells, starts = _joined_cells(real, words)
    under = zip(*(_joined_cells(heat, words, has_text=False)[0] for heat in (simulated, residual)), strict=True)
    columns = [f"<b>{cell}{''.join(pair)}</b>" for cell, pair in zip(cells, under, strict=True)]
    return _in_three_parts(columns, _place_of(real.peak, starts))


def _stacked_parts(real: Heat, simulated: Heat, residual: Heat) -> list[str]:
    """The parts of three cells per token, laid end to end."""
    parts = _STACKED * len(real.token_ids)
    for offset, cells, n_parts in ((1, real.parts, 3), (4, simulated.parts, 2), (7, residual.parts, 2)):
        for part in range(n_parts):
            parts[offset + part :: len(_STACKED)] = cells[part::3]
    return parts


def _joined_cells(heat: Heat, words: ShownVocabulary, *, has_text: bool = True) -> tuple[list[str], list[int]]:
    """Cells where tokens that share a character are one: all their numbers, the strongest one's colour."""
    cells: list[str] = []
    starts: list[int] = []
    start = 0
    all_numbers = heat.parts[1::3]
    for size, text in joined([words.vocabulary.tokens[t] for t in heat.token_ids]):
        run = range(start, start + size)
        strongest = max(run, key=lambda i: abs(heat.steps[i]))
        numbers = all_numbers[start] if size == 1 else '"' + " ".join(all_numbers[i] for i in run) + '"'
        cells.append(f"{_OPEN[heat.steps[strongest]]}{numbers}>{text if has_text else ''}</i>")
        starts.append(start)
        start += size
    return cells, starts


def _place_of(token: int, starts: Sequence[int]) -> int:
    """The cell that shows a token."""
    return max(0, bisect_right(starts, token) - 1)


def _in_three_parts(cells: Sequence[str], peak: int, size: int = 1) -> Markup:
    """A line whose middle is the ``size`` strings from ``peak`` on."""
    before, middle, after = map("".join, (cells[:peak], cells[peak : peak + size], cells[peak + size :]))
    # Every text in the cells was escaped by ``glyphs``.
    return Markup(f"<span class=l><span>{before}</span></span>{middle}<span class=r>{after}</span>")  # noqa: S704
