"""A neuron's stored samples as the rows that pages show, and what simulations need to be shown beside them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated

import numpy as np
from fastapi import Depends, Request
from pydantic import Field
from sqlalchemy.orm import Session

from app.domain.activations import FloatArray
from app.domain.heat import heat_scale, heat_steps
from app.domain.samples import BANDS, SampleKind
from app.queries.neurons.page import NeuronHead, StoredExcerpt, StoredSample, StoredSimulation, stored_excerpts
from app.web.heat.heatmap import excerpt_line, heat_rows
from app.web.heat.vocabularies import ShownVocabulary, Vocabularies

# Markup of a row, for the page only: the JSON has the tokens and the numbers themselves.
Line = Annotated[str, Field(exclude=True)]

ORDER = (SampleKind.TOP, *reversed(BANDS), SampleKind.HARD_NEGATIVE, SampleKind.RANDOM)


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
    """A sample; rows with the same tokens are folded into one."""

    kind: SampleKind
    n_excerpts: int
    rows: tuple[ExcerptRow, ...]


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
) -> RowSource:
    """The excerpts that samples and simulations name, ready to be shown on the neuron's scale. One query.

    Where the neuron's maximum is not known, as after some imports, the scale is that of the records shown.
    """
    wanted = {i for sample in samples for i in sample.excerpt_ids}
    wanted.update(i for simulation in simulations for i in simulation.excerpt_ids)
    excerpts = stored_excerpts(session, excerpt_ids=wanted)
    biggest = max((max(e.token_ids, default=0) for e in excerpts.values()), default=0)
    words = known.get(session, tokenizer_id=head.tokenizer_id, biggest_token=biggest)
    maximum, minimum = head.statistics.max, head.statistics.min
    if maximum is None:
        maximum, minimum = _extremes(samples)
    return RowSource(excerpts, words, heat_scale(maximum, minimum))


def _extremes(samples: Iterable[StoredSample]) -> tuple[float | None, float | None]:
    """The highest and the lowest activation of all records; None without any."""
    values = np.concatenate([unpacked(sample.activations) for sample in samples] or [np.zeros(0, np.float32)])
    return (float(values.max()), float(values.min())) if values.size else (None, None)


def shown_samples(source: RowSource, samples: Sequence[StoredSample]) -> tuple[SampleShown, ...]:
    """The samples in the order of the page."""
    by_kind = {sample.kind: sample for sample in samples}
    return tuple(
        SampleShown(kind, len(by_kind[kind].excerpt_ids), tuple(_rows(source, by_kind[kind])))
        for kind in ORDER
        if kind in by_kind
    )


def _rows(source: RowSource, sample: StoredSample) -> Iterator[ExcerptRow]:
    flat = unpacked(sample.activations)
    token_ids = source.tokens(sample.excerpt_ids)
    rows = heat_rows(token_ids, flat, heat_steps(flat, source.scale), source.words)
    values, strings = flat.tolist(), source.strings(list(chain.from_iterable(token_ids)))
    keys = [tuple(tokens) for tokens in token_ids]
    copies = Counter(keys)
    end = 0
    for excerpt_id, tokens, heat in zip(sample.excerpt_ids, keys, rows, strict=True):
        start, end = end, end + len(tokens)
        n_copies = copies.pop(tokens, 0)
        if not n_copies:  # shown already
            continue
        place = source.excerpts[excerpt_id]
        yield ExcerptRow(
            excerpt_id=excerpt_id,
            document=place.document,
            position=place.position,
            n_copies=n_copies,
            peak=values[start + heat.peak],
            tokens=strings[start:end],
            activations=values[start:end],
            line=excerpt_line(heat, source.words),
        )


def real_rows(source: RowSource, samples: Sequence[StoredSample]) -> dict[tuple[int, str, int], FloatArray]:
    """The real activations [T] of each excerpt, by collection, sample and excerpt id."""
    found: dict[tuple[int, str, int], FloatArray] = {}
    for sample in samples:
        flat, start = unpacked(sample.activations), 0
        for excerpt_id, tokens in zip(sample.excerpt_ids, source.tokens(sample.excerpt_ids), strict=True):
            found[sample.collection_id, sample.kind, excerpt_id] = flat[start : start + len(tokens)]
            start += len(tokens)
    return found


def unpacked(data: bytes) -> FloatArray:
    """Activations as they are stored: float16, little-endian."""
    return np.frombuffer(data, dtype="<f2").astype(np.float32)
