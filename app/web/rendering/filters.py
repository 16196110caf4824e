"""How templates write values: numbers and times by their language, names in words."""

import json
import re
from collections.abc import Callable
from typing import Any

from app.localization.formats import LocaleFormat
from app.localization.languages import Language
from app.web.rendering.browsers import browser_name
from app.web.rendering.signs import exact
from app.web.rendering.texts import token_chips

_NUMBER_LIST = re.compile(r"\[\n\s+-?[\d.][\d.eE+,\s-]*\]")

KINDS = {
    "top": ("Top excerpts", "the highest peaks"),
    "band_4": ("Very strong", "the highest 0.1% of peaks, below the top excerpts"),
    "band_3": ("Strong", "peaks in the 99 to 99.9% quantile"),
    "band_2": ("Moderate", "peaks in the 90 to 99% quantile"),
    "band_1": ("Weak", "peaks in the 50 to 90% quantile"),
    "band_0": ("Weakest half", "peaks below the median"),
    "hard_negative": ("Hard negatives", "tokens that drive it elsewhere, and it hardly fires"),
    "random": ("Random excerpts", "drawn from the whole corpus"),
    "bottom": ("Lowest activations", "the lowest values"),
    "other": ("Other excerpts", "drawn in a way that is not known"),
}


def kind_title(kind: str) -> str:
    """The heading of a sample."""
    return KINDS[kind][0] if kind in KINDS else kind


def kind_note(kind: str) -> str:
    """What the excerpts of a sample are."""
    return KINDS[kind][1] if kind in KINDS else ""


def words(name: str) -> str:
    """``top_and_random`` as ``top and random``."""
    return name.replace("_", " ")


def result_name(name: str) -> str:
    """``n_checked`` as ``Checked``, ``is_complete`` as ``Complete``: a name of a task's stored result."""
    return capitalize_first(words(name.removeprefix("n_").removeprefix("is_")))


def pretty_json(value: object) -> str:
    """A stored mapping as indented JSON, in stored order; lists of numbers are on one line."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return _NUMBER_LIST.sub(lambda match: " ".join(match[0].split()), text)


def capitalize_first(sentence: str) -> str:
    """With its first letter large and all others as they are: names keep theirs."""
    return sentence[:1].upper() + sentence[1:]


def filters_of(language: Language) -> dict[str, Callable[..., Any]]:
    """Every filter of a language's templates, by name."""
    written = LocaleFormat(language)
    return {
        "ago": written.ago,
        "aligned": written.aligned,
        "browser_name": browser_name,
        "bytes": written.bytes,
        "capitalize_first": capitalize_first,
        "count": written.count,
        "date": written.date,
        "duration": written.duration,
        "exact": exact,
        "kind_note": kind_note,
        "kind_title": kind_title,
        "money": written.money,
        "number": written.number,
        "percent": written.percent,
        "plural": written.plural,
        "score": written.score,
        "pretty_json": pretty_json,
        "timestamp": written.timestamp,
        "token_chips": token_chips,
        "took": written.took,
        "words": words,
        "result_name": result_name,
    }
