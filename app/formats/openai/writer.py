"""Write OpenAI's files, readable by its own tools: only fields that they know, every object with its class's name."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from app.domain.results import TOP_AND_RANDOM
from app.domain.samples import BANDS, SampleKind
from app.formats import records as model
from app.formats.files import File
from app.formats.openai.explanations import CORRELATION, PUBLISHED, SCORERS

ACTIVATIONS = "collated-activations/{layer}/{index}.json"
EXPLANATIONS = "explanations/{layer}/{index}.jsonl"
_RELATED = ("related-tokens/activation-based", "related-tokens/weight-based", "related-neurons/weight-based")
_ENCODER = msgspec.json.Encoder()


def openai_files(records: Iterable[model.NeuronRecord]) -> Iterator[File]:
    """The files of these neurons, each neuron's whole record being in one place.

    What the format does not hold is left out: scores other than the three of the files, hard negatives, flags.
    """
    for record in records:
        address = {"layer": record.layer, "index": record.index}
        if record.samples or record.statistics != model.NOTHING_KNOWN:
            yield File(ACTIVATIONS.format(**address), _ENCODER.encode(neuron_object(record)))
        if record.explanations:
            yield File(EXPLANATIONS.format(**address), _ENCODER.encode(results_object(record)) + b"\n")
        for kind in _RELATED:
            if kind in record.facts:
                name = f"{kind}/{record.layer}/{record.index}.json"
                yield File(name, _ENCODER.encode(record.facts[kind]))


def _object(name: str, **values: Any) -> dict[str, Any]:
    return {"dataclass_name": name, **values}


def _neuron_id(record: model.NeuronRecord) -> dict[str, Any]:
    return _object("NeuronId", layer_index=record.layer, neuron_index=record.index)


def neuron_object(record: model.NeuronRecord) -> dict[str, Any]:
    """``NeuronRecord``: samples and moments of a neuron, as JSON values."""
    samples = {sample.kind: sample.records for sample in record.samples}
    bands = [kind for kind in BANDS if kind in samples]
    n_bands = 0 if not bands else BANDS.index(bands[-1]) + 1
    return _object(
        "NeuronRecord",
        neuron_id=_neuron_id(record),
        random_sample=_activations(samples.get(SampleKind.RANDOM, ())),
        random_sample_by_quantile=[_activations(samples.get(kind, ())) for kind in BANDS[:n_bands]] or None,
        quantile_boundaries=record.facts.get("quantile_boundaries"),
        mean=record.statistics.mean,
        variance=record.statistics.variance,
        skewness=record.statistics.skewness,
        kurtosis=record.statistics.kurtosis,
        most_positive_activation_records=_activations(samples.get(SampleKind.TOP, ())),
    )


def _activations(records: Sequence[model.ActivationRecord]) -> list[dict[str, Any]]:
    return [_object("ActivationRecord", tokens=r.tokens, activations=r.activations) for r in records]


def results_object(record: model.NeuronRecord) -> dict[str, Any]:
    """``NeuronSimulationResults``: the explanations of a neuron with their simulations, as JSON values."""
    return _object(
        "NeuronSimulationResults",
        neuron_id=_neuron_id(record),
        scored_explanations=[
            _object("ScoredExplanation", explanation=e.text, scored_simulation=_scored(e)) for e in record.explanations
        ],
    )


def _scored(explanation: model.Explanation) -> dict[str, Any]:
    simulator = written_simulator(explanation)
    rows = [s for s in explanation.simulations if s.simulator == simulator and s.failure is None]
    rows.sort(key=lambda row: row.kind is SampleKind.RANDOM)  # top first, as the files have them
    values = {
        score.scorer: score.value
        for score in explanation.scores
        if score.simulator == simulator and score.sample == TOP_AND_RANDOM
    }
    return _object(
        "ScoredSimulation",
        scored_sequence_simulations=[_sequence(row) for row in rows],
        **{name: values.get(scorer) for name, scorer in SCORERS.items()},
    )


def written_simulator(explanation: model.Explanation) -> str | None:
    """The simulator whose results are written: the published one, else the one that scored the text last."""
    named = [s for s in explanation.scores if s.scorer == SCORERS[CORRELATION] and s.sample == TOP_AND_RANDOM]
    simulators = [s.simulator for s in named] or [s.simulator for s in explanation.simulations]
    if PUBLISHED in simulators or not simulators:
        return PUBLISHED
    return simulators[-1]


def _sequence(row: model.ScoredSimulation) -> dict[str, Any]:
    return _object(
        "ScoredSequenceSimulation",
        simulation=_simulation(row.simulation),
        true_activations=row.activations,
        **_scores_of(row.scores),
    )


def _scores_of(scores: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: scores.get(scorer) for name, scorer in SCORERS.items()}


def _simulation(found: model.Simulation) -> dict[str, Any]:
    inner = found.uncalibrated
    return _object(
        "SequenceSimulation",
        tokens=found.tokens,
        expected_activations=found.expected,
        activation_scale=str(found.unit),
        distribution_values=found.values,
        distribution_probabilities=found.probabilities,
        uncalibrated_simulation=None if inner is None else _simulation(inner),
    )
