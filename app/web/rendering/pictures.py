"""Small pictures of figures and reports, drawn with their colours inside, so that print and screen show the same."""

from markupsafe import Markup

from app.domain.audit.prediction import Prediction
from app.domain.scores import Estimate

_WIDTH, _HEIGHT = 160, 14
_SIZE = 120
INK, LINE = "#3b7fc4", "#9aa5b1"
"""Both keep a contrast of 3 against white and against the dark page."""


def share_bar(estimate: Estimate) -> Markup:
    """A share between 0 and 1 as a dot with its interval."""
    if estimate.value is None:
        return Markup()
    low, high = estimate.interval or (estimate.value, estimate.value)

    def x(share: float) -> float:
        return round(4 + share * (_WIDTH - 8), 1)

    return Markup(
        '<svg class="share-bar" width="{w}" height="{h}" viewBox="0 0 {w} {h}" aria-hidden="true">'
        '<path d="M4 7H{end}M4 4V10M{middle} 5V9M{end} 4V10" stroke="{line}" fill="none"/>'
        '<path d="M{low} 7H{high}" stroke="{ink}" stroke-width="4" opacity=".55"/>'
        '<circle cx="{value}" cy="7" r="3.5" fill="{ink}"/></svg>'
    ).format(
        w=_WIDTH,
        h=_HEIGHT,
        end=_WIDTH - 4,
        middle=_WIDTH // 2,
        low=x(low),
        high=x(high),
        value=x(estimate.value),
        ink=INK,
        line=LINE,
    )


def roc_curve(prediction: Prediction, label: str) -> Markup:
    """A ROC curve over the diagonal of chance, with a dot at the best threshold."""
    if not prediction.curve:
        return Markup()
    points = " ".join(f"{round(x * _SIZE, 1)},{round((1 - y) * _SIZE, 1)}" for x, y in prediction.curve)
    dot = Markup()
    if prediction.best is not None:
        dot = Markup('<circle cx="{}" cy="{}" r="3.5" fill="{}"/>').format(
            round((1 - prediction.best.specificity) * _SIZE, 1),
            round((1 - prediction.best.sensitivity) * _SIZE, 1),
            INK,
        )
    return Markup(
        '<svg class="roc" width="{box}" height="{box}" viewBox="-4 -4 {box} {box}" role="img" aria-label="{label}">'
        '<path d="M0 0V{s}H{s}" stroke="{line}" fill="none"/>'
        '<path d="M0 {s}L{s} 0" stroke="{line}" stroke-dasharray="3 3" fill="none"/>'
        '<polyline points="{points}" stroke="{ink}" stroke-width="2" fill="none"/>{dot}</svg>'
    ).format(box=_SIZE + 8, s=_SIZE, label=label, line=LINE, ink=INK, points=points, dot=dot)
