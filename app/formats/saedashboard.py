"""Read SAEDashboard's batches: ``batch-N.json`` with a list of features, and ``skipped_indexes.json`` beside them.

A batch is one JSON value of a hundred megabytes: its bytes are held, its features decoded one by one.
"""

from collections.abc import Iterator, Sequence

import msgspec

from app.domain.samples import SampleKind
from app.formats import records as model
from app.formats.bounds import MOST_DOCUMENT_BYTES
from app.formats.checks import Refused, check_address, check_excerpt, check_number_of_records, finite, whole_number
from app.formats.decoding import Decoder
from app.formats.problems import MALFORMED, Refuse, decoding_problem, problem
from app.formats.records import Origin
from app.formats.streams import Entry, Line, whole_document

TOP_BIN = -1.0
SKIPPED = "skipped_indexes"
"""The fact of a feature that the dashboard left out, since it hardly ever fires: no record of it exists."""


class _Batch(msgspec.Struct):
    model_id: str = ""
    layer: int | str = 0
    sae_set: str = ""
    sae_id_suffix: str | None = None
    features: list[msgspec.Raw] | None = None
    skipped_indexes: list[int | str] | None = None


class _Activation(msgspec.Struct, gc=False):
    tokens: list[str]
    values: list[float]
    bin_min: float | None = None
    bin_max: float | None = None
    bin_contains: float | None = None
    qualifying_token_index: int | None = None
    dfa_values: list[float] | None = None
    dfa_maxValue: float | None = None
    dfa_targetIndex: int | None = None


class _Feature(msgspec.Struct, gc=False):
    feature_index: int | str
    activations: list[_Activation] = []
    frac_nonzero: float | None = None
    neuron_alignment_indices: list[int] = []
    neuron_alignment_values: list[float] = []
    neuron_alignment_l1: list[float] = []
    correlated_neurons_indices: list[int] = []
    correlated_neurons_l1: list[float] = []
    correlated_neurons_pearson: list[float] = []
    correlated_features_indices: list[int] = []
    correlated_features_l1: list[float] = []
    correlated_features_pearson: list[float] = []
    neg_str: list[str] = []
    neg_values: list[float] = []
    pos_str: list[str] = []
    pos_values: list[float] = []
    freq_hist_data_bar_values: list[float] = []
    freq_hist_data_bar_heights: list[float] = []
    logits_hist_data_bar_heights: list[float] = []
    logits_hist_data_bar_values: list[float] = []
    n_prompts_total: int | None = None
    n_tokens_in_prompt: int | None = None
    dataset: str | None = None
    decoder_weights_dist: list[float] = []
    vector: list[float] = []


_BATCH, _FEATURE = Decoder(_Batch), Decoder(_Feature)
_ACTIVATION_FACTS = ("bin_min", "bin_max", "bin_contains", "qualifying_token_index", "dfa_values", "dfa_maxValue",
                     "dfa_targetIndex")  # fmt: skip


class SAEDashboardReader:
    """Reads the batches that SAEDashboard's runner for Neuronpedia writes."""

    def reads(self, name: str) -> bool:
        """Whether a file of this name may be a batch."""
        last = name.rsplit("/", 1)[-1]
        return last.endswith(".json") and last != "run_settings.json"

    def records(self, entry: Entry, refuse: Refuse, *, after: int = 0) -> Iterator[model.NeuronRecord]:
        """The features of a batch."""
        document = whole_document(entry, refuse, most=MOST_DOCUMENT_BYTES)
        if document is not None:
            yield from _features(document, refuse)


def _features(document: Line, refuse: Refuse) -> Iterator[model.NeuronRecord]:
    origin = document.origin
    try:
        batch, _ = _BATCH.decode(document.content)
        layer = whole_number(str(batch.layer).split("-", 1)[0], "layer")
        check_address(layer, 0)
    except Refused as error:
        refuse(problem(origin, str(error), error.field))
        return
    except MALFORMED as error:
        refuse(decoding_problem(origin, error))
        return
    name = batch.sae_set if batch.sae_id_suffix is None else f"{batch.sae_set}__{batch.sae_id_suffix}"
    source = f"{layer}-{name}" if name else str(layer)
    if batch.features is None and batch.skipped_indexes is None:
        refuse(problem(origin, "it has no features", "features"))
    for i, raw in enumerate(batch.features or []):
        field = f"features[{i}]"
        decoded = _FEATURE.part(raw, field, origin, refuse)
        if decoded is None:
            continue
        try:
            yield _feature(*decoded, layer, batch.model_id, source, origin, refuse, field)
        except Refused as error:
            refuse(problem(origin, str(error), f"{field}.{error.field}"))
    for index in batch.skipped_indexes or []:
        try:
            number = whole_number(index, SKIPPED)
            check_address(layer, number)
        except Refused as error:
            refuse(problem(origin, str(error), SKIPPED))
            continue
        yield model.NeuronRecord(
            layer, number, origin, model=batch.model_id or None, source=source, facts={SKIPPED: True}
        )


def _feature(  # noqa: PLR0913, PLR0917 - what a feature takes from its batch
    found: _Feature,
    is_lax: bool,
    layer: int,
    model_id: str,
    source: str,
    origin: Origin,
    refuse: Refuse,
    field: str,
) -> model.NeuronRecord:
    index = whole_number(found.feature_index, "feature_index")
    check_address(layer, index)
    check_number_of_records(len(found.activations), "activations")
    if found.frac_nonzero is not None and not finite([found.frac_nonzero]):
        raise Refused("it is not a finite number", "frac_nonzero")
    facts = {
        name: value
        for name in found.__struct_fields__
        if name not in ("feature_index", "activations", "frac_nonzero")
        and (value := getattr(found, name)) not in (None, [])
    }
    return model.NeuronRecord(
        layer,
        index,
        origin,
        model=model_id or None,
        source=source,
        statistics=model.Statistics(firing_rate=found.frac_nonzero),
        samples=tuple(_samples(found.activations, origin, refuse, field, is_lax)),
        facts=facts,
    )


def _samples(
    rows: Sequence[_Activation], origin: Origin, refuse: Refuse, field: str, is_lax: bool
) -> Iterator[model.SampleRecords]:
    groups: dict[SampleKind, list[model.ActivationRecord]] = {}
    for i, row in enumerate(rows):
        try:
            check_excerpt(row.tokens, row.values, is_lax=is_lax)
        except Refused as error:
            refuse(problem(origin, str(error), f"{field}.activations[{i}].{error.field}"))
            continue
        facts = {name: value for name in _ACTIVATION_FACTS if (value := getattr(row, name)) is not None}
        kind = SampleKind.TOP if row.bin_min in (None, TOP_BIN) else SampleKind.OTHER
        groups.setdefault(kind, []).append(model.ActivationRecord(row.tokens, row.values, facts=facts))
    for kind, records in groups.items():
        yield model.SampleRecords(kind, records)
