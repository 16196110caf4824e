"""Pictures that consist of counts: bars, rows of bars, a plot of two scores. Colours come from the style sheet."""

import math
from collections.abc import Sequence
from functools import lru_cache

from markupsafe import Markup

from app.queries.subjects.overview import SCORE_BINS, TablePair
from app.web.rendering.signs import with_signs

BAR_WIDTH, BAR_HEIGHT = 600, 16
LEAST_WIDTH = 4.0
"""The least width of a part, so that one of a thousand is visible."""


def stacked_bar(parts: Sequence[tuple[str, int, str]], label: str) -> Markup:
    """Counts as parts of one bar: each its class, its number and its words. The label says what the bar says."""
    shown = [(css, n) for css, n, _ in parts if n > 0]
    total = sum(n for _, n in shown)
    if not total:
        return Markup()
    spare = BAR_WIDTH - LEAST_WIDTH * len(shown)
    drawn, x = [], 0.0
    for css, n in shown:
        width = LEAST_WIDTH + spare * n / total
        drawn.append(
            Markup('<rect class="{}" x="{:.4g}" width="{:.4g}" height="{}"/>').format(
                f"of-{css}", x, max(1.0, width - 1), BAR_HEIGHT
            )
        )
        x += width
    return Markup(
        '<svg class="stacked" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(BAR_WIDTH, BAR_HEIGHT, with_signs(label), Markup("").join(drawn))


BINS = 10
"""Bars per row over 0..1, each for two bins of the counts; one more for scores below 0."""
CELL, ROW, LEFT = 32, 32, 54
"""A bar's cell is as wide and high as a finger needs, also on a narrow screen."""


@lru_cache(maxsize=1024)
def score_row(label: str, counts: tuple[int, ...], address: str, names: tuple[str, str], top: int) -> Markup:
    """The scores of some neurons as bars, each a link to the neurons that it counts.

    ``counts`` are those of below 0 and of ``SCORE_BINS`` bins; ``names`` the fields of the address for the lowest and
    the highest score. A bar of ``top`` neurons is as high as the row.
    """
    merged = (counts[0], *(sum(counts[i : i + 2]) for i in range(1, 1 + SCORE_BINS, 2)))
    bars = [_bar(number, n, label, address, names, top) for number, n in enumerate(merged) if n]
    return Markup('<text class="row-name" x="{}" y="{}">{}</text>{}').format(
        LEFT - 8, ROW - 8, with_signs(label), Markup("").join(bars)
    )


def _bar(number: int, n: int, label: str, address: str, names: tuple[str, str], top: int) -> Markup:
    low, high = (number - 1) / BINS, number / BINS
    bounds = f"{names[1]}=-0.001" if number == 0 else f"{names[0]}={low:g}&{names[1]}={high:g}"
    words = "below 0" if number == 0 else f"{low:g} to {high:g}"
    height = max(1.5, (ROW - 4) * min(1.0, n / max(1, top)))
    return Markup(
        '<a href="{address}{bounds}" aria-label="{label}, {words}: {n}"><title>{label}, {words}: {n}</title>'
        '<rect class="hit" x="{x}" width="{w}" height="{row}"/>'
        '<rect class="bar" x="{inner}" y="{y:.4g}" width="{bar}" height="{height:.4g}"/></a>'
    ).format(
        address=address,
        bounds=bounds,
        label=with_signs(label),
        words=words,
        n=f"{n:,}",
        x=LEFT + number * CELL,
        w=CELL,
        row=ROW,
        inner=LEFT + number * CELL + 2,
        bar=CELL - 4,
        y=ROW - height,
        height=height,
    )


def score_rows(rows: Sequence[tuple[str, tuple[int, ...], str]], names: tuple[str, str], label: str) -> Markup:
    """Several rows of bars on one axis: the label, the counts and the address of each, which ends in ``?`` or ``&``.

    Each row is as high as its own highest bar: the rows compare where scores lie, the tooltips how many there are.
    """
    width, height = LEFT + (1 + BINS) * CELL, ROW * len(rows)
    drawn = []
    for number, (name, counts, address) in enumerate(rows):
        top = max((counts[0], *(sum(counts[i : i + 2]) for i in range(1, 1 + SCORE_BINS, 2))))
        row = score_row(name, counts, address, names, top)
        drawn.append(
            Markup('<g transform="translate(0 {})">{}<path class="axis" d="M{} {}H{}"/></g>').format(
                number * ROW, row, LEFT, ROW, width
            )
        )
    ticks = Markup("").join(
        Markup('<text class="tick-name" x="{}" y="{}">{}</text>').format(
            LEFT + CELL + tick * BINS * CELL, height + 14, f"{tick:g}"
        )
        for tick in (0.0, 0.5, 1.0)
    )
    return Markup(
        '<svg class="score-rows" viewBox="0 0 {w} {h}" role="group" aria-label="{label}">{rows}{ticks}'
        '<text class="axis-name" x="{middle}" y="{below}">{label}</text></svg>'
    ).format(
        w=width + 8,
        h=height + 34,
        label=with_signs(label),
        rows=Markup("").join(drawn),
        ticks=ticks,
        middle=LEFT + CELL * (2 + BINS) / 2,
        below=height + 30,
    )


SIDE = 210
_STEP = SIDE / (1 + SCORE_BINS)


@lru_cache(maxsize=64)
def against_table(pairs: tuple[TablePair, ...]) -> Markup:
    """Neurons by their score (up) and that of their token table (right): above the diagonal the explanation is better.

    A square's area says how many neurons it stands for.
    """
    if not pairs:
        return Markup()
    most, zero = max(pair.n for pair in pairs), _STEP
    squares = []
    for pair in pairs:
        own, table, n = pair.own, pair.table, pair.n
        side = max(2.0, (_STEP - 1) * math.sqrt(n / most))
        x, y = (table + 0.5) * _STEP - side / 2, SIDE - (own + 0.5) * _STEP - side / 2
        side_of = "above" if own > table else "below"
        squares.append(
            Markup('<rect class="{}" x="{:.4g}" y="{:.4g}" width="{:.4g}" height="{:.4g}"/>').format(
                side_of, x, y, side, side
            )
        )
    above, total = sum(pair.n for pair in pairs if pair.own > pair.table), sum(pair.n for pair in pairs)
    return Markup(
        '<svg class="against" viewBox="-30 -8 {w} {h}" role="img" aria-label="{label}">'
        '<path class="axis" d="M0 0V{s}H{s}"/><path class="even" d="M0 {s}L{s} 0"/>{squares}'
        '<text x="{zero:.4g}" y="{below}" text-anchor="middle">0</text>'
        '<text x="{s}" y="{below}" text-anchor="end">1</text>'
        '<text x="{middle}" y="{below}" text-anchor="middle">token table</text>'
        '<text x="-6" y="{up:.4g}" text-anchor="end">0</text><text x="-6" y="8" text-anchor="end">1</text>'
        '<text transform="translate(-14 {middle}) rotate(-90)" text-anchor="middle">explanation</text></svg>'
    ).format(
        w=SIDE + 38,
        h=SIDE + 30,
        s=SIDE,
        zero=zero,
        up=SIDE - zero,
        middle=SIDE / 2,
        below=SIDE + 16,
        squares=Markup("").join(squares),
        label=f"Score against token table: {above:,} of {total:,} neurons clearly above the diagonal",
    )
