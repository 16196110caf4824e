"""The objects of OpenAI's files as they are written, old names included.

Every object may carry ``dataclass_name``; unknown keys are ignored. Numbers may be written as text, and those that are
not finite are null.
"""

import msgspec

from app.formats.checks import Refused


class Object(msgspec.Struct, gc=False, omit_defaults=True):
    """Any object of these files. Reference cycles are impossible, so the collector need not look at them."""


class NeuronId(Object):
    """A neuron's address, under its present and its older names."""

    layer_index: int | None = None
    neuron_index: int | None = None
    layer: int | None = None
    """The older name."""
    idx: int | None = None
    """The older name."""


def address(neuron_id: NeuronId) -> tuple[int, int]:
    """Layer and index. Raises Refused where one is missing."""
    layer = neuron_id.layer_index if neuron_id.layer_index is not None else neuron_id.layer
    index = neuron_id.neuron_index if neuron_id.neuron_index is not None else neuron_id.idx
    if layer is None or index is None:
        raise Refused("it does not say which neuron it is about", "neuron_id")
    return layer, index


class Activations(Object):
    """``ActivationRecord``: tokens and one activation each."""

    tokens: list[str]
    activations: list[float]


class NeuronRecord(Object):
    """``collated-activations/{layer}/{neuron}.json``."""

    neuron_id: NeuronId
    most_positive_activation_records: list[Activations] | None = None
    random_sample: list[Activations] | None = None
    random_sample_by_quantile: list[list[Activations] | None] | None = None
    quantile_boundaries: list[float | None] | None = None
    mean: float | None = None
    variance: float | None = None
    skewness: float | None = None
    kurtosis: float | None = None


class RawNeuronRecord(Object):
    """The same, each activation record to be decoded on its own: one of them is malformed."""

    neuron_id: NeuronId
    most_positive_activation_records: list[msgspec.Raw] | None = None
    random_sample: list[msgspec.Raw] | None = None
    random_sample_by_quantile: list[list[msgspec.Raw] | None] | None = None
    quantile_boundaries: list[float | None] | None = None
    mean: float | None = None
    variance: float | None = None
    skewness: float | None = None
    kurtosis: float | None = None


class SequenceSimulation(Object):
    """Expected activations of one sequence."""

    tokens: list[str]
    expected_activations: list[float | None] | None = None
    activation_scale: str | None = None
    unit: str | None = None
    """The older name of ``activation_scale``."""
    distribution_values: list[list[float]] | None = None
    distribution_probabilities: list[list[float]] | None = None
    uncalibrated_simulation: "SequenceSimulation | None" = None


class ScoredSequence(Object):
    """``ScoredSequenceSimulation``: a simulation with the real activations."""

    true_activations: list[float]
    simulation: SequenceSimulation | None = None
    sequence_simulation: SequenceSimulation | None = None
    """The older name of ``simulation``."""
    ev_correlation_score: float | None = None
    rsquared_score: float | None = None
    absolute_dev_explained_score: float | None = None


class ScoredSimulation(Object):
    """The simulations of one explanation with their scores."""

    scored_sequence_simulations: list[ScoredSequence] = []
    ev_correlation_score: float | None = None
    rsquared_score: float | None = None
    absolute_dev_explained_score: float | None = None


class ScoredExplanation(Object):
    """A text with its simulations."""

    explanation: str | None = None
    explanation_or_baseline: str | None = None
    """The older name of ``explanation``."""
    scored_simulation: ScoredSimulation | None = None


class RawScoredSimulation(Object):
    """The same as ``ScoredSimulation``, each sequence to be decoded on its own: one of them is malformed."""

    scored_sequence_simulations: list[msgspec.Raw] = []
    ev_correlation_score: float | None = None
    rsquared_score: float | None = None
    absolute_dev_explained_score: float | None = None


class RawScoredExplanation(Object):
    """A text with simulations of which one is malformed."""

    explanation: str | None = None
    explanation_or_baseline: str | None = None
    scored_simulation: RawScoredSimulation | None = None


class SimulationResults(Object):
    """A line of ``explanations/{layer}/{neuron}.jsonl``, each explanation to be decoded on its own."""

    neuron_id: NeuronId
    scored_explanations: list[msgspec.Raw] | None = None
    scored_explanation_or_baseline_list: list[msgspec.Raw] | None = None
    """The older name of ``scored_explanations``."""


class RelatedTokens(Object):
    """``related-tokens/activation-based``."""

    tokens: list[str]
    average_activations: list[float | None]


class TokenStrengths(Object):
    """Tokens with the strength of their connection."""

    tokens: list[str]
    strengths: list[float | None]


class TokenWeights(Object):
    """``related-tokens/weight-based``."""

    input_positive: TokenStrengths | None = None
    input_negative: TokenStrengths | None = None
    output_positive: TokenStrengths | None = None
    output_negative: TokenStrengths | None = None


class NeuronWeights(Object):
    """The neurons with the strongest connections."""

    top_positive_neurons: list[str] = []
    top_positive_weights: list[float | None] = []
    top_negative_neurons: list[str] = []
    top_negative_weights: list[float | None] = []


class RelatedNeurons(Object):
    """``related-neurons/weight-based``."""

    c_fc: NeuronWeights | None = None
    c_proj: NeuronWeights | None = None
