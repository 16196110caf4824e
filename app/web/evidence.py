"""A neuron's stored samples and simulations, made into the rows that its page shows."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated

import numpy as np
from pydantic import Field

from app.domain.activations import NORMALISED_MAXIMUM, FloatArray, SampleKind
from app.domain.heat import heat_steps
from app.queries.neurons.page import StoredExcerpt, StoredSample, StoredSimulation
from app.web.heatmap import excerpt_line, heat_rows, stacked_line
from app.web.vocabularies import ShownVocabulary

# Markup of a row, for the page only: the JSON has the tokens and the numbers themselves.
Line = Annotated[str, Field(exclude=True)]

ORDER = (
    SampleKind.TOP,
    SampleKind.BAND_3,
    SampleKind.BAND_2,
    SampleKind.BAND_1,
    SampleKind.BAND_0,
    SampleKind.HARD_NEGATIVE,
    SampleKind.RANDOM,
)


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
class SimulatedRow:
    """Real and expected activations of one excerpt, or why there are none."""

    excerpt_id: int
    kind: str
    document: str | None
    position: int
    tokens: list[str]
    activations: list[float] | None
    expected: list[float] | None
    """0..10."""
    failure: str | None
    line: Line


@dataclass(frozen=True, slots=True)
class SimulationShown:
    """One simulator on the excerpts of one split."""

    simulator: str
    split: str
    rows: tuple[SimulatedRow, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
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


def shown_samples(evidence: Evidence, samples: Sequence[StoredSample]) -> tuple[SampleShown, ...]:
    """The samples in the order of the page."""
    by_kind = {sample.kind: sample for sample in samples}
    return tuple(
        SampleShown(kind, len(by_kind[kind].excerpt_ids), tuple(_rows(evidence, by_kind[kind])))
        for kind in ORDER
        if kind in by_kind
    )


def _rows(evidence: Evidence, sample: StoredSample) -> Iterator[ExcerptRow]:
    flat = _unpacked(sample.activations)
    token_ids = evidence.tokens(sample.excerpt_ids)
    rows = heat_rows(token_ids, flat, heat_steps(flat, evidence.scale), evidence.words)
    values, strings = flat.tolist(), evidence.strings(list(chain.from_iterable(token_ids)))
    keys = [tuple(tokens) for tokens in token_ids]
    copies = Counter(keys)
    end = 0
    for excerpt_id, tokens, heat in zip(sample.excerpt_ids, keys, rows, strict=True):
        start, end = end, end + len(tokens)
        n_copies = copies.pop(tokens, 0)
        if not n_copies:  # shown already
            continue
        place = evidence.excerpts[excerpt_id]
        yield ExcerptRow(
            excerpt_id=excerpt_id,
            document=place.document,
            position=place.position,
            n_copies=n_copies,
            peak=values[start + heat.peak],
            tokens=strings[start:end],
            activations=values[start:end],
            line=excerpt_line(heat, evidence.words),
        )


def shown_simulations(
    evidence: Evidence, samples: Sequence[StoredSample], simulations: Sequence[StoredSimulation]
) -> tuple[SimulationShown, ...]:
    """Real against simulated, the scored split of every sample together."""
    real = real_rows(evidence, samples)
    grouped: dict[tuple[str, str], list[SimulatedRow]] = {}
    for simulation in simulations:
        rows = grouped.setdefault((simulation.simulator, simulation.split), [])
        rows.extend(simulated_rows(evidence, real, simulation))
    return tuple(SimulationShown(name, split, tuple(rows)) for (name, split), rows in grouped.items())


def real_rows(evidence: Evidence, samples: Sequence[StoredSample]) -> dict[tuple[int, str, int], FloatArray]:
    """The real activations [T] of each excerpt, by collection, sample and excerpt id."""
    found: dict[tuple[int, str, int], FloatArray] = {}
    for sample in samples:
        flat, start = _unpacked(sample.activations), 0
        for excerpt_id, tokens in zip(sample.excerpt_ids, evidence.tokens(sample.excerpt_ids), strict=True):
            found[sample.collection_id, sample.kind, excerpt_id] = flat[start : start + len(tokens)]
            start += len(tokens)
    return found


def simulated_rows(
    evidence: Evidence, real: Mapping[tuple[int, str, int], FloatArray], simulation: StoredSimulation
) -> Iterator[SimulatedRow]:
    """The rows of one simulation, each beside its real activations where they are stored."""
    pairs = list(_pairs(evidence, real, simulation))
    lines = iter(_stacked_lines(evidence, [pair for pair in pairs if pair.failure is None]))
    for excerpt_id, pair in zip(simulation.excerpt_ids, pairs, strict=True):
        yield SimulatedRow(
            excerpt_id=excerpt_id,
            kind=simulation.kind,
            document=pair.excerpt.document,
            position=pair.excerpt.position,
            tokens=evidence.strings(pair.excerpt.token_ids),
            activations=pair.real.tolist() if pair.real is not None else None,
            expected=pair.expected.tolist() if pair.failure is None else None,
            failure=pair.failure,
            line=next(lines) if pair.failure is None else "",
        )


@dataclass(frozen=True, slots=True)
class _Pair:
    """Real and expected activations of an excerpt, or why there are not both."""

    excerpt: StoredExcerpt
    real: FloatArray | None
    expected: FloatArray
    failure: str | None


def _pairs(
    evidence: Evidence, real: Mapping[tuple[int, str, int], FloatArray], simulation: StoredSimulation
) -> Iterator[_Pair]:
    flat, end = _unpacked(simulation.expected), 0
    for place, excerpt_id in enumerate(simulation.excerpt_ids):
        excerpt = evidence.excerpts[excerpt_id]
        start, end = end, end + len(excerpt.token_ids)
        failure = simulation.failures.get(str(place))
        activations = real.get((simulation.collection_id or 0, simulation.kind, excerpt_id))
        if failure is None and activations is None:
            failure = "the real activations of this excerpt are not stored any more"
        yield _Pair(excerpt, activations, flat[start:end], failure)


def _stacked_lines(evidence: Evidence, pairs: Sequence[_Pair]) -> Iterator[str]:
    if not pairs:
        return
    unit = np.float32(evidence.scale / NORMALISED_MAXIMUM)
    real = np.concatenate([pair.real for pair in pairs if pair.real is not None])
    expected = np.concatenate([pair.expected for pair in pairs])
    simulated = expected * unit
    tokens = [pair.excerpt.token_ids for pair in pairs]
    # Steps of expected values come from the values themselves: scaled and back they could miss a whole number.
    steps = heat_steps(expected, NORMALISED_MAXIMUM)
    above = heat_rows(tokens, real, heat_steps(real, evidence.scale), evidence.words)
    middle = heat_rows(tokens, simulated, steps, evidence.words)
    residual = real - simulated
    below = heat_rows(tokens, residual, heat_steps(residual, evidence.scale), evidence.words)
    for rows in zip(above, middle, below, strict=True):
        yield stacked_line(*rows, evidence.words)


def _unpacked(data: bytes) -> FloatArray:
    return np.frombuffer(data, dtype="<f2").astype(np.float32)
