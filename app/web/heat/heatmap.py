"""Excerpts as heatmaps: a strip of coloured text, and a table of its numbers.

Steps are classes (``h1``..``h10`` above 0, ``n1``..``n10`` below; text without one is step 0), so that no page contains
a style. A strip is one line around its peak. Neighbouring tokens of one step are one element, and most are of step 0:
a page has dozens of strips. Its numbers are in a table that the page loads when the row is unfolded: text that can be
selected, searched and read aloud. Attributes are written without quotes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby

import numpy as np
from markupsafe import Markup, escape

from app.domain.arrays import Float32s, Int32s
from app.web.heat.glyphs import joined
from app.web.heat.vocabularies import ShownVocabulary, TextArray, text_array

_LARGEST_STEP = 10
# By step, the negative ones from the end of the array.
_CLASSES = ("", *(f"h{n}" for n in range(1, _LARGEST_STEP + 1)), *(f"n{n}" for n in range(_LARGEST_STEP, 0, -1)))
_TAG = re.compile("<[^>]*>")
_INK = re.compile(r"<[^>]*>|&[^;]+;|[!-~]")


@cache
def _numbers() -> TextArray:
    """The text of each float16, indexed by its bits: there are only 65,536."""
    with np.errstate(invalid="ignore"):  # some bit patterns are NaN
        values = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float64) + 0.0  # no "-0"
    known: dict[str, str] = {}
    texts = (f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}" for value in values.tolist())
    return text_array([known.setdefault(text, text) for text in texts])


@dataclass(frozen=True, slots=True)
class Heat:
    """A row of T tokens: each token's step, and the token on which the row is centred."""

    token_ids: Sequence[int]
    steps: Sequence[int]
    centre: int


def heat_rows(token_ids: Sequence[Sequence[int]], flat: Float32s, steps: Int32s) -> list[Heat]:
    """Rows whose values and steps are concatenated in ``flat`` and ``steps``, each centred on its highest value."""
    all_steps = steps.tolist()
    rows, start = [], 0
    for tokens in token_ids:
        end = start + len(tokens)
        rows.append(Heat(tokens, all_steps[start:end], int(flat[start:end].argmax()) if tokens else 0))
        start = end
    return rows


def number_texts(values: Float32s) -> list[str]:
    """The text of each value, rounded as a float16."""
    texts: list[str] = _numbers()[values.astype(np.float16).view(np.uint16)].tolist()
    return texts


def strip(heat: Heat, words: ShownVocabulary) -> Markup:
    """A row's coloured text in three parts: before its centre, at the centre, after it."""
    texts, steps, centre = _cells(heat, words)
    before, after = _runs(texts[:centre], steps[:centre]), _runs(texts[centre + 1 :], steps[centre + 1 :])
    middle = _element(texts[centre], steps[centre], always=True) if texts else ""
    return Markup(  # noqa: S704 - every text in the cells was escaped by ``glyphs``
        f"<span class=l><span>{before}</span></span>{middle}<span class=r>{after}</span>"
    )


def under_strip(heat: Heat, words: ShownVocabulary) -> Markup:
    """The colours of a row without its text but as wide, to be shown under the text of the same tokens.

    Letters are replaced by spaces, which are as wide in a monospaced font, so that a search in the page finds text only
    once.
    """
    colours = _INK.sub(lambda found: found[0] if found[0].startswith("<") else " ", strip(heat, words))
    return Markup(colours)  # noqa: S704 - a strip whose letters have become spaces


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """One number per token: its heading, the values and their steps."""

    heading: str
    values: Float32s
    steps: Int32s


def number_table(token_ids: Sequence[int], columns: Sequence[NumberColumn], words: ShownVocabulary) -> Markup:
    """A table with a row per token: the token, coloured by the first column, and a number of each column.

    Tokens that share a character are one row with all of their numbers. ARIA roles are explicit because the style sheet
    lays rows out side by side, after which some screen readers no longer recognise the table.
    """
    sizes, texts = _texts(token_ids, words)
    numbers = [number_texts(column.values) for column in columns]
    rows, start = [], 0
    for size, text in zip(sizes, texts, strict=True):
        run = range(start, start + size)
        start += size
        token = _element(text, _strongest(columns[0].steps, run))
        cells = "".join(_cell(numbers[i], column, run, i > 0) for i, column in enumerate(columns))
        rows.append(f"<tr role=row><th scope=row role=rowheader>{token}{_name_of_blanks(text)}{cells}")
    names = ("Token", *(column.heading for column in columns))
    heads = "".join(f"<th scope=col role=columnheader>{escape(name)}" for name in names)
    return Markup(  # noqa: S704 - every text in the cells was escaped by ``glyphs``
        f"<table class=numbers role=table><thead role=rowgroup><tr role=row>{heads}"
        f"<tbody role=rowgroup>{''.join(rows)}</table>"
    )


def _name_of_blanks(text: str) -> str:
    """The name of a token of white space, of which a screen reader would say nothing."""
    plain = _TAG.sub("", text)
    if plain.strip():
        return ""
    return f"<span class=visually-hidden>{len(plain)} blank{'' if len(plain) == 1 else 's'}</span>"


def _cell(numbers: Sequence[str], column: NumberColumn, run: range, is_coloured: bool) -> str:
    """A cell without colour for the first column: its colour is on the token already."""
    name = _CLASSES[_strongest(column.steps, run)] if is_coloured else ""
    return f"<td role=cell{f' class={name}' if name else ''}>{' '.join(numbers[i] for i in run)}"


def _strongest(steps: Sequence[int] | Int32s, run: range) -> int:
    return int(steps[max(run, key=lambda i: abs(steps[i]))])


def _texts(token_ids: Sequence[int], words: ShownVocabulary) -> tuple[Sequence[int], Sequence[str]]:
    """The cells of some tokens: each one's number of tokens and its text."""
    if words.parts.isdisjoint(token_ids):
        texts = words.texts(token_ids)
        return [1] * len(texts), texts
    cells = joined(words.raw(token_ids))
    return [size for size, _ in cells], [text for _, text in cells]


def _cells(heat: Heat, words: ShownVocabulary) -> tuple[Sequence[str], Sequence[int], int]:
    """The text and the step of each cell, and the cell on which the row is centred."""
    sizes, texts = _texts(heat.token_ids, words)
    if len(texts) == len(heat.steps):
        return texts, heat.steps, heat.centre
    ends = np.cumsum(sizes).tolist()
    steps = [_strongest(heat.steps, range(end - size, end)) for size, end in zip(sizes, ends, strict=True)]
    return texts, steps, int(np.searchsorted(ends, heat.centre, side="right"))


def _runs(texts: Sequence[str], steps: Sequence[int]) -> str:
    """Neighbours of one step joined into one element."""
    pairs = groupby(zip(steps, texts, strict=True), key=lambda pair: pair[0])
    return "".join(_element("".join(text for _, text in run), step) for step, run in pairs)


def _element(text: str, step: int, *, always: bool = False) -> str:
    text = text.replace("</s><s>", "")  # adjacent blanks are one element
    if step:
        return f"<i class={_CLASSES[step]}>{text}</i>"
    return f"<i>{text}</i>" if always else text
