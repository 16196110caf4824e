"""Write Neuronpedia's files: batches of rows, with the columns that its database requires.

The first row of a file names the columns of all, so the rows of a batch have the same fields; what a row lacks is null.
A column that may not be null there, and has a default, is in all rows of a batch or in none.
"""

import gzip
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from app.domain.samples import BANDS, SampleKind
from app.formats import records as model
from app.formats.files import File
from app.formats.neuronpedia.reader import TOP_BIN
from app.formats.neuronpedia.wire import ADDRESS, Activation

PER_BATCH = 1_024
CREATOR = "neuron-audit"
"""The creator and author of rows that name none: the columns may not be null."""
_NOT_NULL = ("createdAt", "frac_nonzero", "hasVector")
_ACTIVATION_FIELDS = frozenset(Activation.__struct_fields__) - {*ADDRESS, "tokens", "values"}
_OWN_NAMES = {"bin_min": "binMin", "bin_max": "binMax", "bin_contains": "binContains", "dfa_values": "dfaValues",
              "dfa_maxValue": "dfaMaxValue", "dfa_targetIndex": "dfaTargetIndex",
              "qualifying_token_index": "qualifyingTokenIndex"}  # fmt: skip
"""Names of columns that differ from SAEDashboard's."""
_BINS: Mapping[SampleKind, dict[str, float]] = {SampleKind.TOP: {"binMin": TOP_BIN, "binMax": 99, "binContains": -1}}
_ENCODER = msgspec.json.Encoder()


def neuronpedia_files(
    records: Iterable[model.NeuronRecord], *, model_id: str, source_set: str | None = None
) -> Iterator[File]:
    """The files of these neurons. ``model_id`` and ``source_set`` are for records that name none.

    Without a set the source is the number of the layer, as for raw MLP neurons. The format holds no scores, simulations
    or verdicts: they are left out, as are random excerpts and hard negatives, which it has no group for.
    """
    batches = _Batches()
    for record in records:
        source = _source(record, source_set)
        address = {"modelId": record.model or model_id, "layer": source, "index": str(record.index)}
        folder = f"v1/{_safe(address['modelId'])}/{_safe(source)}"
        yield from batches.add(f"{folder}/features", {**address, **_feature(record)})
        for number, row in enumerate(_activations(record)):
            own_id = f"{address['modelId']}-{source}-{record.index}-{number}"
            yield from batches.add(f"{folder}/activations", {"id": own_id, **address, "creatorId": CREATOR, **row})
        for number, explanation in enumerate(record.explanations):
            own_id = f"{address['modelId']}-{source}-{record.index}-explanation-{number}"
            row = {"id": own_id, **address, "authorId": CREATOR, **_explanation(explanation)}
            yield from batches.add(f"{folder}/explanations", row)
    yield from batches.end()


def _source(record: model.NeuronRecord, source_set: str | None) -> str:
    """The id of a source, which begins with the number of the layer."""
    named = source_set if record.source is None else record.source
    if named is None or named == str(record.layer):
        return str(record.layer)
    return named if named.startswith(f"{record.layer}-") else f"{record.layer}-{named}"


def _safe(part: str) -> str:
    """A path component without characters that could leave the folder."""
    return part.replace("/", "_").replace("..", "_") or "_"


def _feature(record: model.NeuronRecord) -> dict[str, Any]:
    known = record.statistics
    found = {"maxActApprox": known.max, "frac_nonzero": known.firing_rate}
    facts = {name: value for name, value in record.facts.items() if name in _FEATURE_FIELDS}
    return {**{name: value for name, value in found.items() if value is not None}, **facts}


_FEATURE_FIELDS = frozenset(
    {
        "createdAt", "creatorId", "sourceSetName", "hasVector", "vector", "vectorLabel", "vectorDefaultSteerStrength",
        "hookName", "topkCosSimIndices", "topkCosSimValues", "neuron_alignment_indices", "neuron_alignment_values",
        "neuron_alignment_l1", "correlated_neurons_indices", "correlated_neurons_pearson", "correlated_neurons_l1",
        "correlated_features_indices", "correlated_features_pearson", "correlated_features_l1", "neg_str",
        "neg_values", "pos_str", "pos_values", "freq_hist_data_bar_heights", "freq_hist_data_bar_values",
        "logits_hist_data_bar_heights", "logits_hist_data_bar_values", "decoder_weights_dist", "umap_x", "umap_y",
        "umap_cluster", "umap_log_feature_sparsity",
    }
)  # fmt: skip


def _activations(record: model.NeuronRecord) -> Iterator[dict[str, Any]]:
    for sample in record.samples:
        if sample.kind not in (SampleKind.TOP, SampleKind.OTHER, *BANDS):
            continue
        for row in sample.records:
            values = list(row.activations)
            peak = max(values)
            yield {
                "tokens": row.tokens,
                "values": values,
                "maxValue": peak,
                "maxValueTokenIndex": values.index(peak),
                "minValue": min(values),
                **_group(sample, row),
                **_facts(row),
            }


def _facts(row: model.ActivationRecord) -> dict[str, Any]:
    """What the format can hold of what its own files, or SAEDashboard's, say of an excerpt."""
    named = {_OWN_NAMES.get(name, name): value for name, value in row.facts.items()}
    return {name: value for name, value in named.items() if name in _ACTIVATION_FIELDS}


def _group(sample: model.SampleRecords, row: model.ActivationRecord) -> dict[str, float]:
    """The group of activations that a row belongs to, for one whose file gave none."""
    facts = _facts(row)
    if "binMin" in facts:
        return {}
    if sample.kind in _BINS:
        return {} if facts else _BINS[sample.kind]
    peaks = [max(each.activations) for each in sample.records]
    return {"binMin": min(peaks), "binMax": max(peaks)}


def _explanation(explanation: model.Explanation) -> dict[str, Any]:
    facts = dict(explanation.facts)
    if (
        "explanationModelName" not in facts
        and explanation.author is not None
        and explanation.author != explanation.method
    ):
        facts["explanationModelName"] = explanation.author
    found = {"description": explanation.text, "typeName": explanation.method, "createdAt": explanation.created_at}
    return {**{name: value for name, value in found.items() if value is not None}, **facts}


class _Batches:
    """Rows until there are enough of them for a file."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, tuple[bool, ...]], list[dict[str, Any]]] = {}
        self._numbers: dict[str, int] = {}

    def add(self, folder: str, row: dict[str, Any]) -> Iterator[File]:
        key = (folder, tuple(name in row for name in _NOT_NULL))
        rows = self._rows.setdefault(key, [])
        rows.append(row)
        if len(rows) == PER_BATCH:
            yield self._file(folder, self._rows.pop(key))

    def end(self) -> Iterator[File]:
        for (folder, _), rows in self._rows.items():
            yield self._file(folder, rows)
        self._rows = {}

    def _file(self, folder: str, rows: list[dict[str, Any]]) -> File:
        number = self._numbers.get(folder, 0)
        self._numbers[folder] = number + 1
        columns = dict.fromkeys(name for row in rows for name in row)
        lines = b"".join(_ENCODER.encode({name: row.get(name) for name in columns}) + b"\n" for row in rows)
        return File(f"{folder}/batch-{number}.jsonl.gz", gzip.compress(lines, compresslevel=5, mtime=0))
