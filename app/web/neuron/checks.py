"""An executed explanation's mistakes over a whole corpus, as rows of real and expected activations."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from app.domain.activations import NORMALISED_MAXIMUM
from app.domain.executed import Mistake
from app.queries.checks.page import CheckFigures, StoredCheck, StoredMistakes
from app.web.neuron.evidence import Line, RowSource, unpacked
from app.web.neuron.tokens import token_glyphs

TITLES = {
    Mistake.FALSE_ALARM: "Claimed here, silent",
    Mistake.MISS: "Fires here, not claimed",
}


@dataclass(frozen=True, slots=True)
class MistakenToken:
    """A token, and how many of the mistakes are on it."""

    text: str
    glyphs: Line
    count: int


@dataclass(frozen=True, slots=True)
class MistakenExcerpt:
    """An excerpt with a mistake: one real and one expected activation (0..10) per token."""

    excerpt_id: int
    document: str | None
    position: int
    at: int
    """The token with the widest gap in the direction of the mistake."""
    tokens: list[str]
    activations: list[float]
    expected: list[float]
    unit: float
    """The activation, in the model's own units, that 1 of ``expected`` corresponds to."""
    difference: float
    """Real minus expected activation there, in the model's own units."""


@dataclass(frozen=True, slots=True)
class MistakesShown:
    """The mistakes of one kind: how many, the tokens behind most of them, and some excerpts."""

    kind: Mistake
    title: str
    n_tokens: int
    share: float | None
    """Of the tokens that are claimed, for false alarms; of those that the neuron fires on, for misses."""
    tokens: tuple[MistakenToken, ...]
    rows: tuple[MistakenExcerpt, ...]


@dataclass(frozen=True, slots=True)
class CheckShown:
    """An explanation executed over a whole corpus."""

    figures: CheckFigures
    is_of_earlier_collection: bool
    firing_threshold: float | None
    """The activation, in the model's own units, from which the neuron counts as firing."""
    mistakes: tuple[MistakesShown, ...]


def shown_check(source: RowSource, check: StoredCheck | None, collection_id: int | None) -> CheckShown | None:
    """A check ready to be shown; ``collection_id`` is that of the samples on the page."""
    if check is None:
        return None
    figures = check.figures
    unit = (figures.maximum or 0.0) / NORMALISED_MAXIMUM
    by_kind = {mistakes.kind: mistakes for mistakes in check.mistakes}
    return CheckShown(
        figures=figures,
        is_of_earlier_collection=figures.collection_id != collection_id,
        firing_threshold=figures.firing_level * unit if unit > 0 else None,
        mistakes=tuple(_mistakes(source, figures, by_kind[kind], unit) for kind in TITLES if kind in by_kind),
    )


def _mistakes(source: RowSource, figures: CheckFigures, stored: StoredMistakes, unit: float) -> MistakesShown:
    among = figures.n_claimed if stored.kind is Mistake.FALSE_ALARM else figures.n_firing
    tokens = zip(
        source.strings(stored.token_ids),
        (token_glyphs(source.words, token_id) for token_id in stored.token_ids),
        stored.token_counts,
        strict=True,
    )
    return MistakesShown(
        kind=stored.kind,
        title=TITLES[stored.kind],
        n_tokens=stored.n_tokens,
        share=stored.n_tokens / among if among else None,
        tokens=tuple(MistakenToken(*row) for row in tokens),
        rows=tuple(_rows(source, stored, unit)),
    )


def _rows(source: RowSource, stored: StoredMistakes, unit: float) -> Iterator[MistakenExcerpt]:
    real, expected = unpacked(stored.activations), unpacked(stored.expected)
    difference = real - expected * np.float32(unit)
    size = difference if stored.kind is Mistake.MISS else -difference
    start = 0
    for excerpt_id, tokens in zip(stored.excerpt_ids, source.tokens(stored.excerpt_ids), strict=True):
        own = slice(start, start + len(tokens))
        start = own.stop
        at = int(size[own].argmax())
        yield MistakenExcerpt(
            excerpt_id=excerpt_id,
            document=source.excerpts[excerpt_id].document,
            position=source.excerpts[excerpt_id].position,
            at=at,
            tokens=source.strings(tokens),
            activations=real[own].tolist(),
            expected=expected[own].tolist(),
            unit=unit,
            difference=float(difference[own][at]),
        )
