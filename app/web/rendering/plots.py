"""Plots of many neurons as SVG: every mark is a link to the list of the neurons that it counts."""

import math
from functools import lru_cache
from urllib.parse import urlencode

from markupsafe import Markup

from app.domain.plots import Axis, Cell, Grid, Histograms
from app.web.rendering.signs import with_signs

CELL = 32
"""Size of a cell, wide and high enough for a finger."""
LEFT, BELOW = 54, 44


def filters_of_bin(axis: Axis, number: int) -> dict[str, str]:
    """The fields of a list that holds the neurons of a bin."""
    low, high = axis.bounds(number)
    fields = {f"{axis.name}_min": low, f"{axis.name}_max": high}
    return {name: f"{value:g}" for name, value in fields.items() if value is not None}


@lru_cache(maxsize=64)
def grid_plot(grid: Grid, address: str) -> Markup:
    """Neurons by two values: a square per pair of bins, the darker the more (by logarithm).

    ``address`` is of the list, or of a page that takes ``cell=X-Y`` (then it has a query already).
    """
    width, height = LEFT + grid.x.n_bins * CELL, grid.y.n_bins * CELL
    most = math.log1p(max(cell.n for cell in grid.cells))
    cells = Markup("").join(_cell(grid, cell, address, most) for cell in grid.cells)
    label = f"{grid.y.label} against {grid.x.label}, {grid.n:,} neurons"
    return Markup(
        '<svg class="plot" viewBox="0 0 {w} {h}" role="group" aria-label="{label}">'
        '<path class="axis" d="M{left} 0V{height}H{w}"/>{x_ticks}{y_ticks}{cells}'
        '<text class="axis-name" x="{middle}" y="{below}">{x_name}</text>'
        '<text class="axis-name" transform="translate(12 {half}) rotate(-90)">{y_name}</text></svg>'
    ).format(
        w=width, h=height + BELOW, label=with_signs(label), left=LEFT, height=height, cells=cells,
        x_ticks=_x_ticks(grid.x, height), y_ticks=_y_ticks(grid.y, height), middle=LEFT + (width - LEFT) / 2,
        below=height + BELOW - 6, half=height / 2, x_name=with_signs(grid.x.label), y_name=with_signs(grid.y.label),
    )  # fmt: skip


def _cell(grid: Grid, cell: Cell, address: str, most: float) -> Markup:
    fields = filters_of_bin(grid.x, cell.x) | filters_of_bin(grid.y, cell.y)
    own = f"{address}&cell={cell.x}-{cell.y}#pairs" if "?" in address else f"{address}?{urlencode(fields)}"
    words = with_signs(f"{grid.x.label} {grid.x.words(cell.x)}, {grid.y.label} {grid.y.words(cell.y)}: {cell.n:,}")
    return Markup(
        '<a href="{own}" aria-label="{words}" data-n="{n}"><title>{words}</title>'
        '<rect x="{left}" y="{top}" width="{side}" height="{side}" fill-opacity="{strength:.2f}"/></a>'
    ).format(
        own=own, words=words, n=cell.n,
        left=LEFT + cell.x * CELL + 1, top=(grid.y.n_bins - 1 - cell.y) * CELL, side=CELL - 1,
        strength=0.15 + 0.85 * math.log1p(cell.n) / most,
    )  # fmt: skip


def _x_ticks(axis: Axis, height: int) -> Markup:
    return Markup("").join(
        Markup('<text class="tick-name" x="{}" y="{}">{}</text>').format(
            LEFT + (at + 1) * CELL, height + 14, axis.written(edge)
        )
        for at, edge in enumerate(axis.edges)
        if at % 2 == 0
    )


def _y_ticks(axis: Axis, height: int) -> Markup:
    return Markup("").join(
        Markup('<text class="row-name" x="{}" y="{}">{}</text>').format(
            LEFT - 6, height - (at + 1) * CELL + 4, axis.written(edge)
        )
        for at, edge in enumerate(axis.edges)
    )


@lru_cache(maxsize=64)
def histogram_rows(found: Histograms, address: str, *, is_total: bool) -> Markup:
    """A row of bars for each layer, or one for all; each row as high as its own highest bar, each bar a link."""
    axis = found.axis
    rows: list[tuple[str, tuple[int, ...], dict[str, str]]] = (
        [("all", found.total, {})]
        if is_total
        else [(f"layer {own.layer}", own.counts, {"layer": str(own.layer)}) for own in found.layers]
    )
    width, height = LEFT + axis.n_bins * CELL, CELL * len(rows)
    drawn = Markup("").join(_row(at, row, axis, address, width) for at, row in enumerate(rows))
    return Markup(
        '<svg class="plot" viewBox="0 0 {w} {h}" role="group" aria-label="{label}">{rows}{ticks}'
        '<text class="axis-name" x="{middle}" y="{below}">{label}</text></svg>'
    ).format(
        w=width, h=height + BELOW, label=axis.label, rows=drawn, ticks=_x_ticks(axis, height),
        middle=LEFT + (width - LEFT) / 2, below=height + BELOW - 6,
    )  # fmt: skip


def _row(at: int, row: tuple[str, tuple[int, ...], dict[str, str]], axis: Axis, address: str, width: int) -> Markup:
    name, counts, fields = row
    top, foot = max(1, *counts), (at + 1) * CELL
    bars = Markup("").join(
        _bar(name, axis, number, n, top, foot, address, fields) for number, n in enumerate(counts) if n
    )
    return Markup('<text class="row-name" x="{}" y="{}">{}</text><path class="axis" d="M{} {}H{}"/>{}').format(
        LEFT - 6, foot - 8, name, LEFT, foot, width, bars
    )


def _bar(  # noqa: PLR0913, PLR0917 - what one bar is made of
    name: str, axis: Axis, number: int, n: int, top: int, foot: int, address: str, fields: dict[str, str]
) -> Markup:
    words = f"{name}, {axis.label.lower()} {axis.words(number)}: {n:,}"
    height = max(1.5, (CELL - 4) * n / top)
    return Markup(
        '<a href="{address}?{query}" aria-label="{words}"><title>{words}</title>'
        '<rect class="hit" x="{x}" y="{row}" width="{cell}" height="{cell}"/>'
        '<rect x="{inner}" y="{y:.4g}" width="{bar}" height="{height:.4g}"/></a>'
    ).format(
        address=address, query=urlencode(fields | filters_of_bin(axis, number)), words=words, x=LEFT + number * CELL,
        row=foot - CELL, cell=CELL, inner=LEFT + number * CELL + 2, y=foot - height, bar=CELL - 4, height=height,
    )  # fmt: skip
