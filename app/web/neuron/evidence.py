"""A neuron's stored samples as the rows that pages show, and what the display of simulations needs of them."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated

import numpy as np
from fastapi import Depends, Request
from pydantic import Field
from sqlalchemy.orm import Session

from app.domain.arrays import Float32s
from app.domain.heat import heat_scale, heat_steps
from app.domain.samples import BANDS, SampleKind
from app.queries.checks.page import StoredCheck
from app.queries.neurons.head import NeuronHead
from app.queries.neurons.page import SHOWN_OF_BAND, StoredExcerpt, StoredSample, StoredSimulation, stored_excerpts
from app.web.heat.heatmap import heat_rows, strip
from app.web.heat.vocabularies import ShownVocabulary, Vocabularies

# markup of a row, only for the page: the JSON has the tokens and the numbers themselves
Line = Annotated[str, Field(exclude=True)]

ORDER = (
    SampleKind.TOP,
    *reversed(BANDS),
    SampleKind.HARD_NEGATIVE,
    SampleKind.RANDOM,
    SampleKind.OTHER,
    SampleKind.BOTTOM,
)
SHOWN_FIRST = 8
"""Rows of a section that a page shows initially."""
_AROUND = 6
"""Tokens on each side of a peak in the name of a folded row."""


@dataclass(frozen=True, slots=True)
class ExcerptRow:
    """One excerpt, or several with the same tokens."""

    excerpt_id: int
    document: str | None
    position: int
    n_copies: int
    peak: float
    peak_at: int
    """The token with the highest activation."""
    tokens: list[str]
    activations: list[float]
    line: Line
    """Empty for a row that is shown only on demand."""

    @property
    def token(self) -> str:
        """The text of the token with the highest activation."""
        return token_at(self.tokens, self.peak_at)

    @property
    def around(self) -> str:
        """The text around that token, for the name of the folded row."""
        return text_around(self.tokens, self.peak_at)


@dataclass(frozen=True, slots=True)
class SampleShown:
    """A sample; rows with the same tokens are folded into one. Of a band the first five excerpts are shown.

    ``population`` is the number of excerpts of the corpus that the sample stands for, where it is known.
    """

    kind: SampleKind
    n_excerpts: int
    population: int | None
    rows: tuple[ExcerptRow, ...]
    n_shown: int
    """How many of the rows the page shows."""


@dataclass(frozen=True, slots=True)
class RowSource:
    """The data from which rows are made: stored excerpts, the vocabulary, the neuron's scale."""

    excerpts: Mapping[int, StoredExcerpt]
    words: ShownVocabulary
    scale: float

    def tokens(self, excerpt_ids: Sequence[int]) -> list[list[int]]:
        """The token ids of each excerpt."""
        return [self.excerpts[i].token_ids for i in excerpt_ids]

    def strings(self, token_ids: Sequence[int]) -> list[str]:
        """The tokens as text, each on its own."""
        return self.words.strings(token_ids)


async def known_vocabularies(request: Request) -> Vocabularies:
    """The vocabularies that this process has cached."""
    known: Vocabularies = request.app.state.vocabularies
    return known


KnownVocabularies = Annotated[Vocabularies, Depends(known_vocabularies)]


def token_at(tokens: Sequence[str], at: int) -> str:
    """A token as people read it: white space in words."""
    text = tokens[at] if tokens else ""
    return text.strip() or ("a line break" if "\n" in text else "a blank" if text else "nothing")


def text_around(tokens: Sequence[str], at: int) -> str:
    """The text around a token on one line."""
    return " ".join("".join(tokens[max(0, at - _AROUND) : at + _AROUND + 1]).split())


def row_source(
    session: Session,
    known: Vocabularies,
    *,
    head: NeuronHead,
    samples: Sequence[StoredSample],
    simulations: Iterable[StoredSimulation],
) -> RowSource:
    """The excerpts that samples and simulations name, ready to be shown on the neuron's scale. One query."""
    needed = list(simulations)
    simulated = {(s.collection_id, s.kind) for s in needed}
    wanted = {i for simulation in needed for i in simulation.excerpt_ids}
    for sample in samples:
        is_simulated = (sample.collection_id, sample.kind) in simulated
        wanted.update(sample.excerpt_ids if is_simulated else _shown_ids(sample))
    return source_of(session, known, head=head, samples=samples, excerpts=stored_excerpts(session, excerpt_ids=wanted))


def source_of(
    session: Session,
    known: Vocabularies,
    *,
    head: NeuronHead,
    samples: Sequence[StoredSample],
    excerpts: Mapping[int, StoredExcerpt],
    check: StoredCheck | None = None,
) -> RowSource:
    """The excerpts of some samples and of a check's mistakes, ready to be shown on the neuron's scale.

    Where the neuron's maximum is not known, as after some imports, the scale is that of the records shown. No query,
    once the vocabulary is known.
    """
    mistakes = () if check is None else check.mistakes
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
    source: RowSource,
    samples: Sequence[StoredSample],
    populations: Mapping[SampleKind, int],
    more: Collection[SampleKind],
) -> tuple[SampleShown, ...]:
    """The samples in the order of the page, those of ``more`` whole and of the others the first rows.

    ``populations`` are by sample, where they are known.
    """
    by_kind = {sample.kind: sample for sample in samples}
    return tuple(
        _sample(source, by_kind[kind], populations.get(kind), None if kind in more else SHOWN_FIRST)
        for kind in ORDER
        if kind in by_kind
    )


def _sample(source: RowSource, sample: StoredSample, population: int | None, most: int | None) -> SampleShown:
    rows = tuple(excerpt_rows(source, sample, most=most))
    n_shown = len(rows) if most is None else min(len(rows), most)
    return SampleShown(SampleKind(sample.kind), len(sample.excerpt_ids), population, rows, n_shown)


def _shown_ids(sample: StoredSample) -> list[int]:
    """The excerpts of a sample that a page shows."""
    return sample.excerpt_ids[:SHOWN_OF_BAND] if sample.kind in BANDS else sample.excerpt_ids


def excerpt_rows(source: RowSource, sample: StoredSample, *, most: int | None = None) -> Iterator[ExcerptRow]:
    """The rows of a sample, those with the same tokens as one; only the first ``most`` have a line."""
    shown_ids = _shown_ids(sample)
    token_ids = source.tokens(shown_ids)
    flat = unpacked(sample.activations)[: sum(map(len, token_ids))]
    rows = heat_rows(token_ids, flat, heat_steps(flat, source.scale))
    values, strings = flat.tolist(), source.strings(list(chain.from_iterable(token_ids)))
    keys = [tuple(tokens) for tokens in token_ids]
    copies = Counter(keys)
    n_rows = end = 0
    for excerpt_id, tokens, heat in zip(shown_ids, keys, rows, strict=True):
        start, end = end, end + len(tokens)
        n_copies = copies.pop(tokens, 0)
        if not n_copies:  # shown already
            continue
        n_rows += 1
        excerpt = source.excerpts[excerpt_id]
        yield ExcerptRow(
            excerpt_id=excerpt_id,
            document=excerpt.document,
            position=excerpt.position,
            n_copies=n_copies,
            peak=values[start + heat.centre] if tokens else 0.0,
            peak_at=heat.centre,
            tokens=strings[start:end],
            activations=values[start:end],
            line=strip(heat, source.words) if most is None or n_rows <= most else "",
        )


def real_rows(source: RowSource, samples: Sequence[StoredSample]) -> dict[tuple[int, str, int], Float32s]:
    """The real activations [T] of each excerpt, by collection, sample and excerpt id.

    Of samples whose excerpts the source does not have, since nothing was simulated on them, there are none.
    """
    found: dict[tuple[int, str, int], Float32s] = {}
    for sample in samples:
        if not source.excerpts.keys() >= set(sample.excerpt_ids):
            continue
        flat, start = unpacked(sample.activations), 0
        for excerpt_id, tokens in zip(sample.excerpt_ids, source.tokens(sample.excerpt_ids), strict=True):
            found[sample.collection_id, sample.kind, excerpt_id] = flat[start : start + len(tokens)]
            start += len(tokens)
    return found


def unpacked(data: bytes) -> Float32s:
    """Activations as they are stored: float16, little-endian."""
    return np.frombuffer(data, dtype="<f2").astype(np.float32)
