"""A neuron's stored samples as the rows that pages show, and what the display of simulations needs of them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated
from urllib.parse import urlencode

import numpy as np
from fastapi import Depends, Request
from markupsafe import Markup
from pydantic import Field
from sqlalchemy.orm import Session

from app.domain.activations import FloatArray
from app.domain.heat import heat_scale, heat_steps
from app.domain.samples import BANDS, SampleKind
from app.queries.checks.page import StoredCheck
from app.queries.neurons.head import NeuronHead
from app.queries.neurons.page import StoredExcerpt, StoredSample, StoredSimulation, stored_excerpts
from app.web.heat.glyphs import visible, visible_bytes
from app.web.heat.heatmap import excerpt_line, heat_rows
from app.web.heat.vocabularies import ShownVocabulary, Vocabularies

# Markup of a row, for the page only: the JSON has the tokens and the numbers themselves.
Line = Annotated[str, Field(exclude=True)]

ORDER = (
    SampleKind.TOP,
    *reversed(BANDS),
    SampleKind.HARD_NEGATIVE,
    SampleKind.RANDOM,
    SampleKind.OTHER,
    SampleKind.BOTTOM,
)
SHOWN_OF_BAND = 5
"""Excerpts of a band that a page shows: the others are there to be scored."""


@dataclass(frozen=True, slots=True)
class ExcerptRow:
    """One excerpt, or several with the same tokens."""

    excerpt_id: int
    document: str | None
    position: int
    n_copies: int
    peak: float
    tokens: list[str]
    activations: list[float]
    line: Line


@dataclass(frozen=True, slots=True)
class SampleShown:
    """A sample; rows with the same tokens are folded into one. Of a band the first five excerpts are shown.

    ``population`` is the number of excerpts of the corpus that the sample stands for, where it is known.
    """

    kind: SampleKind
    n_excerpts: int
    population: int | None
    rows: tuple[ExcerptRow, ...]


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


@dataclass(frozen=True, slots=True)
class RowSource:
    """What rows are made of: everything stored, the vocabulary, the neuron's scale."""

    excerpts: Mapping[int, StoredExcerpt]
    words: ShownVocabulary
    scale: float

    def tokens(self, excerpt_ids: Sequence[int]) -> list[list[int]]:
        """The token ids of each excerpt."""
        return [self.excerpts[i].token_ids for i in excerpt_ids]

    def strings(self, token_ids: Sequence[int]) -> list[str]:
        """The tokens as text, each on its own."""
        found: list[str] = self.words.strings[np.array(token_ids, dtype=np.intp)].tolist()
        return found


async def known_vocabularies(request: Request) -> Vocabularies:
    """The vocabularies that this process has in memory."""
    known: Vocabularies = request.app.state.vocabularies
    return known


KnownVocabularies = Annotated[Vocabularies, Depends(known_vocabularies)]


def row_source(
    session: Session,
    known: Vocabularies,
    *,
    head: NeuronHead,
    samples: Sequence[StoredSample],
    simulations: Iterable[StoredSimulation],
    check: StoredCheck | None = None,
) -> RowSource:
    """The excerpts that samples, simulations and a check name, ready to be shown on the neuron's scale. One query.

    Where the neuron's maximum is not known, as after some imports, the scale is that of the records shown.
    """
    needed = list(simulations)
    simulated = {(s.collection_id, s.kind) for s in needed}
    wanted = {i for simulation in needed for i in simulation.excerpt_ids}
    for sample in samples:
        is_simulated = (sample.collection_id, sample.kind) in simulated
        wanted.update(sample.excerpt_ids if is_simulated else _shown_ids(sample))
    mistakes = () if check is None else check.mistakes
    wanted.update(i for kind in mistakes for i in kind.excerpt_ids)
    excerpts = stored_excerpts(session, excerpt_ids=wanted)
    shown = chain((e.token_ids for e in excerpts.values()), (kind.token_ids for kind in mistakes))
    biggest = max((max(token_ids, default=0) for token_ids in shown), default=0)
    words = known.get(session, tokenizer_id=head.tokenizer_id, biggest_token=biggest)
    maximum, minimum = head.statistics.max, head.statistics.min
    if maximum is None:
        maximum, minimum = _extremes(samples)
    return RowSource(excerpts, words, heat_scale(maximum, minimum))


def _extremes(samples: Iterable[StoredSample]) -> tuple[float | None, float | None]:
    """The highest and the lowest activation of all records; None without any."""
    values = np.concatenate([unpacked(sample.activations) for sample in samples] or [np.zeros(0, np.float32)])
    return (float(values.max()), float(values.min())) if values.size else (None, None)


def shown_samples(
    source: RowSource, samples: Sequence[StoredSample], populations: Mapping[SampleKind, int] | None = None
) -> tuple[SampleShown, ...]:
    """The samples in the order of the page; ``populations`` by sample, where they are known."""
    by_kind = {sample.kind: sample for sample in samples}
    known = populations or {}
    return tuple(
        SampleShown(kind, len(by_kind[kind].excerpt_ids), known.get(kind), tuple(_rows(source, by_kind[kind])))
        for kind in ORDER
        if kind in by_kind
    )


def _shown_ids(sample: StoredSample) -> list[int]:
    """The excerpts of a sample that a page shows."""
    return sample.excerpt_ids[:SHOWN_OF_BAND] if sample.kind in BANDS else sample.excerpt_ids


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
    is_whole = token_id not in words.parts and "\x00" not in text and text.encode() == words.vocabulary.tokens[token_id]
    return f"/{slug}?{urlencode({'token': text})}" if is_whole else None


def token_glyphs(words: ShownVocabulary, token_id: int) -> Markup:
    """A token on its own, as a heatmap's cell shows it."""
    if token_id in words.parts:
        return Markup(visible_bytes(words.vocabulary.tokens[token_id]))  # noqa: S704 - hexadecimal digits
    return Markup(visible(words.strings[token_id]))  # noqa: S704 - escaped there


def _rows(source: RowSource, sample: StoredSample) -> Iterator[ExcerptRow]:
    shown_ids = _shown_ids(sample)
    token_ids = source.tokens(shown_ids)
    flat = unpacked(sample.activations)[: sum(map(len, token_ids))]
    rows = heat_rows(token_ids, flat, heat_steps(flat, source.scale), source.words)
    values, strings = flat.tolist(), source.strings(list(chain.from_iterable(token_ids)))
    keys = [tuple(tokens) for tokens in token_ids]
    copies = Counter(keys)
    end = 0
    for excerpt_id, tokens, heat in zip(shown_ids, keys, rows, strict=True):
        start, end = end, end + len(tokens)
        n_copies = copies.pop(tokens, 0)
        if not n_copies:  # shown already
            continue
        excerpt = source.excerpts[excerpt_id]
        yield ExcerptRow(
            excerpt_id=excerpt_id,
            document=excerpt.document,
            position=excerpt.position,
            n_copies=n_copies,
            peak=values[start + heat.peak],
            tokens=strings[start:end],
            activations=values[start:end],
            line=excerpt_line(heat, source.words),
        )


def real_rows(source: RowSource, samples: Sequence[StoredSample]) -> dict[tuple[int, str, int], FloatArray]:
    """The real activations [T] of each excerpt, by collection, sample and excerpt id.

    Of samples whose excerpts the source does not have, since nothing was simulated on them, there are none.
    """
    found: dict[tuple[int, str, int], FloatArray] = {}
    for sample in samples:
        if not source.excerpts.keys() >= set(sample.excerpt_ids):
            continue
        flat, start = unpacked(sample.activations), 0
        for excerpt_id, tokens in zip(sample.excerpt_ids, source.tokens(sample.excerpt_ids), strict=True):
            found[sample.collection_id, sample.kind, excerpt_id] = flat[start : start + len(tokens)]
            start += len(tokens)
    return found


def unpacked(data: bytes) -> FloatArray:
    """Activations as they are stored: float16, little-endian."""
    return np.frombuffer(data, dtype="<f2").astype(np.float32)
