"""Which samples a score describes, and which of a neuron's records are scored for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind, Split
from app.domain.results import TOP_AND_RANDOM
from app.domain.samples import STRATA
from app.domain.steps.spec import Parameters, Records

EXCERPTS_PER_SAMPLE = 5
"""Validation records of each sample that are simulated and scored, as in the 2023 paper."""
SAMPLES: Mapping[str, tuple[SampleKind, ...]] = {
    TOP_AND_RANDOM: (SampleKind.TOP, SampleKind.RANDOM),
    **{kind.value: (kind,) for kind in SampleKind},
}
"""The named mixtures of excerpts that a score may describe."""
FITTED_SAMPLES = (TOP_AND_RANDOM, SampleKind.RANDOM.value)
"""The samples of a scorer of expected activations, if its parameters name none."""
RATED_PER_SAMPLE = 5
"""Validation records of each sample that are shown for rating."""
NEIGHBOURS_COMPARED = 3
"""The number of neurons of the same layer with which an excerpt is compared, so that chance is one in four."""


def fitted_samples(parameters: Parameters) -> tuple[str, ...]:
    """The samples described by a score of expected activations."""
    return tuple(parameters.get("samples", FITTED_SAMPLES))


def kinds_of(samples: tuple[str, ...]) -> tuple[SampleKind, ...]:
    """The kinds of records in these samples, each once. Raises KeyError for a sample that does not exist."""
    return tuple(dict.fromkeys(kind for sample in samples for kind in SAMPLES[sample]))


def scored_records(records: NeuronRecords, samples: tuple[str, ...]) -> Records:
    """The first validation records of each kind in these samples. Raises KeyError for a sample that does not exist."""
    return {kind: records.of(kind, Split.VALIDATION)[:EXCERPTS_PER_SAMPLE] for kind in kinds_of(samples)}


def corpus_records(records: NeuronRecords, parameters: Parameters) -> Records:
    """The first validation records of every sample drawn with a known probability; 35 in all by default."""
    most = int(parameters.get("excerpts_per_sample", EXCERPTS_PER_SAMPLE))
    return {kind: records.of(kind, Split.VALIDATION)[:most] for kind in (*STRATA, SampleKind.RANDOM)}


def ablated_samples(parameters: Parameters) -> tuple[str, ...]:
    """The one sample that the ablation score describes."""
    return (parameters.get("sample", TOP_AND_RANDOM),)


@dataclass(frozen=True, slots=True)
class Choice:
    """One excerpt of the neuron and one of each neighbour; the question is which of them the text fits."""

    own: ActivationRecord
    others: tuple[ActivationRecord, ...]


def choices(records: NeuronRecords, neighbours: Sequence[NeuronRecords]) -> tuple[Choice, ...]:
    """One choice for each scored top excerpt of the neuron, in stored order.

    Each neighbour contributes one of its own held-out top excerpts that is in no sample of the neuron, a different one
    for each choice as long as there are enough. A neighbour without such an excerpt, because it fires on the same ones,
    is left out. Empty if every neighbour is left out.
    """
    known = {record.excerpt_id for sample in records.samples.values() for record in sample}
    found = (
        [r for r in other.of(SampleKind.TOP, Split.VALIDATION) if r.excerpt_id not in known] for other in neighbours
    )
    shown = [rows for rows in found if rows]
    if not shown:
        return ()
    own = records.of(SampleKind.TOP, Split.VALIDATION)[:EXCERPTS_PER_SAMPLE]
    return tuple(Choice(record, tuple(rows[i % len(rows)] for rows in shown)) for i, record in enumerate(own))
