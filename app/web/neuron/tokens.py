"""A neuron's strongest tokens, and single tokens as pages show them."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import numpy as np
from markupsafe import Markup

from app.domain.heat import heat_steps
from app.web.heat.glyphs import visible_bytes
from app.web.heat.vocabularies import ShownVocabulary
from app.web.neuron.evidence import Line, RowSource


@dataclass(frozen=True, slots=True)
class TokenShown:
    """A token with its mean activation over the corpus and the number of its occurrences; ``step`` is 0..10."""

    text: str
    glyphs: Line
    mean: float
    count: int
    step: int
    address: str | None
    """The neurons that it drives; None for a part of a character, which cannot be written in an address."""


def shown_tokens(source: RowSource, slug: str, tokens: Sequence[tuple[int, float, int]]) -> tuple[TokenShown, ...]:
    """A neuron's strongest tokens, each (token id, mean, count), on the scale of the page."""
    steps = heat_steps(np.array([mean for _, mean, _ in tokens], dtype=np.float32), source.scale).tolist()
    texts = source.strings([token_id for token_id, _, _ in tokens])
    return tuple(
        TokenShown(
            text,
            token_glyphs(source.words, token_id),
            mean,
            count,
            max(step, 0),
            _list_address(source.words, slug, token_id, text),
        )
        for text, (token_id, mean, count), step in zip(texts, tokens, steps, strict=True)
    )


def _list_address(words: ShownVocabulary, slug: str, token_id: int, text: str) -> str | None:
    is_whole = token_id not in words.parts and "\x00" not in text and [text.encode()] == words.raw([token_id])
    return f"/{slug}?{urlencode({'token': text})}" if is_whole else None


def token_glyphs(words: ShownVocabulary, token_id: int) -> Markup:
    """A token on its own, as a heatmap shows it."""
    if token_id in words.parts:
        return Markup(visible_bytes(words.raw([token_id])[0]))  # noqa: S704 - hexadecimal digits
    return Markup(words.texts([token_id])[0])  # noqa: S704 - escaped there
