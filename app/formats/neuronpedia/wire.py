"""The rows of Neuronpedia's files. ``index`` and ``layer`` may be text or numbers; so may names and ids."""

from typing import Any, TypeAlias

import msgspec

Name: TypeAlias = str | int | float | None


class Row(msgspec.Struct, gc=False, omit_defaults=True):
    """What every row says: which neuron it is about."""

    modelId: str | None = None
    layer: str | int | None = None
    index: str | int | None = None


class Feature(Row):
    """A row of ``features``."""

    maxActApprox: float | None = None
    frac_nonzero: float | None = None
    createdAt: str | None = None
    creatorId: Name = None
    sourceSetName: str | None = None
    hasVector: bool | None = None
    vector: list[float] | None = None
    vectorLabel: str | None = None
    vectorDefaultSteerStrength: float | None = None
    hookName: str | None = None
    topkCosSimIndices: list[int] | None = None
    topkCosSimValues: list[float] | None = None
    neuron_alignment_indices: list[int] | None = None
    neuron_alignment_values: list[float] | None = None
    neuron_alignment_l1: list[float] | None = None
    correlated_neurons_indices: list[int] | None = None
    correlated_neurons_pearson: list[float] | None = None
    correlated_neurons_l1: list[float] | None = None
    correlated_features_indices: list[int] | None = None
    correlated_features_pearson: list[float] | None = None
    correlated_features_l1: list[float] | None = None
    neg_str: list[str] | None = None
    neg_values: list[float] | None = None
    pos_str: list[str] | None = None
    pos_values: list[float] | None = None
    freq_hist_data_bar_heights: list[float] | None = None
    freq_hist_data_bar_values: list[float] | None = None
    logits_hist_data_bar_heights: list[float] | None = None
    logits_hist_data_bar_values: list[float] | None = None
    decoder_weights_dist: list[float] | None = None
    umap_x: float | None = None
    umap_y: float | None = None
    umap_cluster: int | None = None
    umap_log_feature_sparsity: float | None = None


class Activation(Row):
    """A row of ``activations``: one excerpt of one neuron."""

    tokens: list[str] = []
    values: list[float] = []
    id: Name = None
    creatorId: Name = None
    createdAt: str | None = None
    dataSource: Name = None
    dataIndex: Name = None
    maxValue: float | None = None
    maxValueTokenIndex: int | None = None
    minValue: float | None = None
    dfaValues: list[float] | None = None
    dfaMaxValue: float | None = None
    dfaTargetIndex: int | None = None
    binMin: float | None = None
    binMax: float | None = None
    binContains: float | None = None
    lossValues: list[float] | None = None
    logitContributions: Any = None
    qualifyingTokenIndex: int | None = None
    zIndices: Any = None
    zValues: list[float] | None = None


class Explanation(Row):
    """A row of ``explanations``. The format has no scores, dates or votes; some exports have dates."""

    description: str | None = None
    id: Name = None
    authorId: Name = None
    triggeredById: Name = None
    typeName: str | None = None
    explanationModelName: str | None = None
    notes: str | None = None
    createdAt: str | None = None
    embedding: Any = None
    umap_x: float | None = None
    umap_y: float | None = None
    umap_cluster: int | None = None
    umap_log_feature_sparsity: float | None = None


class Mark(Row):
    """Fields that show the kind of a row where its folder does not."""

    tokens: msgspec.Raw | None = None
    description: msgspec.Raw | None = None


ADDRESS = ("modelId", "layer", "index")


def others(row: Row, *known: str) -> dict[str, Any]:
    """The fields of a row that are not null, without its address and without ``known``."""
    left_out = {*ADDRESS, *known}
    return {
        name: value
        for name in row.__struct_fields__
        if name not in left_out and (value := getattr(row, name)) is not None
    }
