"""How pages write numbers and times."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from app.web.rendering.signs import exact

_NUMBER_LIST = re.compile(r"\[\n\s+-?[\d.][\d.eE+,\s-]*\]")

MINUTE, HOUR, DAY = 60, 3600, 86400


def count(value: int) -> str:
    """1234567 as ``1,234,567``."""
    return f"{value:,}"


def score(value: float | None) -> str:
    """A score with two decimals and a real minus sign; a dash where it is undefined."""
    if value is None:
        return "–"
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")  # no minus before a zero


def number(value: float | None) -> str:
    """A measurement with three significant digits."""
    return "–" if value is None else f"{value:.3g}".replace("-", "−")


def aligned(value: float) -> str:
    """A measurement that always has three digits, for columns; 0 where it is next to nothing."""
    if abs(value) < 0.0005:
        return "0"
    return f"{value:#.3g}".replace("-", "−") if abs(value) < 1000 else f"{value:.0f}"


def money(value: float) -> str:
    """An amount with two decimals, or two significant digits where it is below 1. The currency is the provider's."""
    return f"{value:,.2f}" if value >= 1 or not value else f"{value:.2g}"


def percent(value: float | None) -> str:
    """A share as a percentage; small ones keep two significant digits."""
    if value is None:
        return "–"
    return f"{value * 100:.2g} %" if 0 < value < 0.01 else f"{value * 100:.1f} %"


def ago(moment: datetime) -> str:
    """How long ago a moment was, in the largest unit that fits."""
    seconds = max(0, int((datetime.now(UTC) - moment).total_seconds()))
    if seconds < MINUTE:
        return "just now"
    if seconds < HOUR:
        return f"{seconds // MINUTE} min ago"
    if seconds < DAY:
        return f"{seconds // HOUR} h ago"
    return f"{seconds // DAY} d ago"


def timestamp(moment: datetime) -> str:
    """A moment to the second, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(seconds: float) -> str:
    """A length of time as ``35 s``, ``2 min 5 s`` or ``1 h 02 min``."""
    minutes, rest = divmod(int(seconds), MINUTE)
    if not minutes:
        return f"{rest} s"
    if minutes < HOUR // MINUTE:
        return f"{minutes} min {rest} s"
    return f"{minutes * MINUTE // HOUR} h {minutes % (HOUR // MINUTE):02} min"


def took(seconds: float | None) -> str:
    """A length of time that may be well below a second."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < MINUTE else duration(seconds)


def plural(n: int, singular: str, several: str | None = None) -> str:
    """``1 neuron``, ``2,000 neurons``."""
    return f"{n:,} {singular if n == 1 else several or singular + 's'}"


KINDS = {
    "top": "Top excerpts",
    "band_4": "Highest 0.1 % of peaks, below the top excerpts",
    "band_3": "Peaks in the 99 to 99.9 % quantile",
    "band_2": "Peaks in the 90 to 99 % quantile",
    "band_1": "Peaks in the 50 to 90 % quantile",
    "band_0": "Peaks below the median",
    "hard_negative": "Hard negatives",
    "random": "Random excerpts",
}


def kind_title(kind: str) -> str:
    """The heading of a sample."""
    return KINDS.get(kind, kind)


def words(name: str) -> str:
    """``top_and_random`` as ``top and random``."""
    return name.replace("_", " ")


def pretty_json(value: object) -> str:
    """A stored mapping as indented JSON, in stored order; lists of numbers stand in one line."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return _NUMBER_LIST.sub(lambda match: " ".join(match[0].split()), text)


ALL: dict[str, Callable[..., Any]] = {
    "ago": ago,
    "aligned": aligned,
    "count": count,
    "duration": duration,
    "exact": exact,
    "kind_title": kind_title,
    "money": money,
    "number": number,
    "percent": percent,
    "plural": plural,
    "score": score,
    "pretty_json": pretty_json,
    "timestamp": timestamp,
    "took": took,
    "words": words,
}
