"""Small pictures, drawn on the server. Colours come from the style sheet, by class."""

from collections.abc import Sequence

from markupsafe import Markup

from app.queries.home import SCORE_BINS


def bars(values: Sequence[float], *, width: int, height: int, label: str, css: str = "bars") -> Markup:
    """A bar chart without axes: one bar per value, the highest as high as the picture.

    Values above 0 are never lower than one unit, so that rare is not taken for none.
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
    ).format(css=css, width=width, height=height, label=label, path=path)


def score_histogram(counts: Sequence[int], label: str) -> Markup:
    """The scores of one layer: below 0, then SCORE_BINS bins over 0..1."""
    return bars(counts, width=6 * (1 + SCORE_BINS), height=40, label=label, css="bars scores")
