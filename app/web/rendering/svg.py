"""Small pictures, drawn on the server. Colours come from the style sheet, by class."""

import math
from collections.abc import Sequence

from markupsafe import Markup

from app.domain.atlas import LOWEST_SCORE
from app.web.rendering.signs import with_signs

_RANGE_WIDTH = 130


def bars(values: Sequence[float], *, width: int, height: int, label: str, css: str = "bars") -> Markup:
    """A bar chart without axes: one bar per value, the highest as high as the picture.

    Values above 0 are never lower than one unit, so that rare does not look like none.
    """
    step = width / max(1, len(values))
    top = max(values, default=0) or 1
    path = "".join(
        f"M{i * step:.4g} {height}v{-max(1.0, value / top * height):.4g}h{step - 0.6:.4g}V{height}z"
        for i, value in enumerate(values)
        if value > 0
    )
    return Markup(
        '<svg class="{css}" viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" aria-label="{label}">'
        '<path d="{path}"/></svg>'
    ).format(css=css, width=width, height=height, label=with_signs(label), path=path)


def activation_histogram(counts: Sequence[int], edges: Sequence[float]) -> Markup:
    """How often which activation occurs; heights are logarithmic, since most tokens are close to 0."""
    label = f"Activations from {edges[0]:.3g} to {edges[-1]:.3g}, heights logarithmic"
    return bars([math.log1p(n) for n in counts], width=6 * max(1, len(counts)), height=60, label=label, css="bars")


def score_axis(
    value: float | None, interval: tuple[float | None, float | None], lookup: float | None, shuffled: float | None
) -> Markup:
    """A score as a bar on an axis to 1, its interval as a line, its baselines as ticks."""
    width, height = 380, 36

    def x(score: float) -> float:
        clipped = min(1.0, max(LOWEST_SCORE, score))
        return round((clipped - LOWEST_SCORE) / (1 - LOWEST_SCORE) * width, 1)

    parts = [
        Markup(
            '<path class="axis" d="M0 12H{w}M{zero} 2V22M{half} 8V16M{w} 8V16"/>'
            '<text x="{zero}" y="34">0</text><text x="{half}" y="34">0.5</text><text x="{w}" y="34">1</text>'
        ).format(w=width, zero=x(0), half=x(0.5))
    ]
    if value is not None:
        left, right = sorted((x(0), x(value)))
        parts.append(Markup('<path class="value" d="M{} 6H{}V18H{}z"/>').format(left, right, left))
    low, high = interval
    if low is not None and high is not None:
        parts.append(
            Markup('<path class="interval" d="M{low} 12H{high}M{low} 8V16M{high} 8V16"/>').format(
                low=x(low), high=x(high)
            )
        )
    for name, baseline in (("lookup", lookup), ("shuffled", shuffled)):
        if baseline is not None:
            parts.append(Markup('<path class="{}" d="M{at} 1V22"/>').format(name, at=x(baseline)))
    return Markup('<svg class="score" viewBox="0 0 {} {}" aria-hidden="true">{}</svg>').format(
        width, height, Markup("").join(parts)
    )


def score_range(value: float, interval: tuple[float, float] | None, table: float | None) -> Markup:
    """A score on an axis from 0 to 1 with its interval and the token table's score, for a row of a list."""
    low, high = interval if interval is not None else (value, value)
    tick = "" if table is None else f'<path class="lookup" d="M{_on_range(table)} 1V13"/>'
    # Numbers alone: nothing here needs escaping, and a page has fifty of them.
    return Markup(  # noqa: S704 - made of our own numbers
        f'<svg class="range" viewBox="0 0 {_RANGE_WIDTH} 14" aria-hidden="true">'
        f'<path class="axis" d="M3 7H{_RANGE_WIDTH - 3}M{_on_range(0)} 4V10M{_on_range(0.5)} 5V9M{_on_range(1)} 4V10"/>'
        f'<path class="interval" d="M{_on_range(low)} 7H{_on_range(high)}"/>{tick}'
        f'<circle cx="{_on_range(value)}" cy="7" r="3"/></svg>'
    )


def _on_range(score: float) -> float:
    return round(3 + min(1.0, max(0.0, score)) * (_RANGE_WIDTH - 6), 1)
