"""Formats that are read only: SAEDashboard, delphi, Transluce; and how a format is known."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.domain.imports import DataFormat
from app.domain.samples import SampleKind
from app.errors import Invalid
from app.formats.delphi import DelphiReader
from app.formats.files import File
from app.formats.registry import format_of
from app.formats.saedashboard import SKIPPED, SAEDashboardReader
from app.formats.transluce import TransluceReader
from tests.openai_files import activation_record, neuron_record, simulation_results
from tests.unit.formats.reading import Reading, entry, read_files

ACTIVATION = {"tokens": ["a", " b"], "values": [0.0, 3.5], "bin_min": -1, "bin_max": 99, "bin_contains": -1,
              "qualifying_token_index": 1}  # fmt: skip
BATCH: dict[str, Any] = {
    "model_id": "gpt2-small",
    "layer": "5",
    "sae_set": "res-jb",
    "sae_id_suffix": None,
    "features": [
        {"feature_index": 7, "frac_nonzero": 0.25, "activations": [ACTIVATION, {**ACTIVATION, "bin_min": 1.5}],
         "pos_str": ["x"], "pos_values": [2.5], "n_prompts_total": 100, "dataset": "pile"},
        {"feature_index": "8", "activations": []},
    ],
}  # fmt: skip


def read(reader: Any, **files: Any) -> Reading:
    return read_files(reader, [File(name, json.dumps(value).encode()) for name, value in files.items()])


def test_a_batch_of_features_is_read() -> None:
    found = read(SAEDashboardReader(), **{"batch-0.json": BATCH})
    assert not found.problems
    first, second = found.records
    assert (first.layer, first.index, first.model, first.source) == (5, 7, "gpt2-small", "5-res-jb")
    assert first.statistics.known == {"firing_rate": 0.25}
    assert [(s.kind, len(s.records)) for s in first.samples] == [(SampleKind.TOP, 1), (SampleKind.OTHER, 1)]
    assert first.facts == {"pos_str": ["x"], "pos_values": [2.5], "n_prompts_total": 100, "dataset": "pile"}
    assert (second.index, second.samples) == (8, ())


def test_features_that_a_dashboard_skipped_are_neurons_without_records() -> None:
    skipped = {
        "model_id": "gpt2-small",
        "layer": "5",
        "sae_set": "res-jb",
        "log_sparsity": -5,
        "skipped_indexes": [1, "2"],
    }
    found = read(SAEDashboardReader(), **{"skipped_indexes.json": skipped})
    assert [(r.index, dict(r.facts)) for r in found.records] == [(1, {SKIPPED: True}), (2, {SKIPPED: True})]


def test_a_bad_feature_does_not_cost_the_batch() -> None:
    bad = [{"feature_index": None}, {"feature_index": -2}, {"feature_index": 3, "activations": [
        {**ACTIVATION, "values": [1.0]}]}]  # fmt: skip
    found = read(SAEDashboardReader(), **{"batch-0.json": {**BATCH, "features": [*bad, *BATCH["features"]]}})
    assert [r.index for r in found.records] == [3, 7, 8]
    assert [p.field for p in found.problems] == [
        "features[0].feature_index", "features[1].index", "features[2].activations[0].activations",
    ]  # fmt: skip


def classified(activating: bool, prediction: Any, **values: Any) -> dict[str, Any]:
    return {"str_tokens": ["a", "b"], "activations": [0.0, 2.5 * activating], "activating": activating, "distance": 0.5,
            "prediction": prediction, "probability": None, "correct": None, **values}  # fmt: skip


def test_explanations_and_scores_of_delphi_are_read() -> None:
    name = "layers.11.mlp_latent42.txt"
    rows = [classified(True, True), classified(True, 0), classified(False, False), classified(False, None)]
    simulated = [{"quantile": 1, "correlation": 0.9, "sequence_count": 5}, {
        "quantile": -1, "correlation": 0.5, "sequence_count": 25}]  # fmt: skip
    found = read(DelphiReader(), **{
        f"run/explanations/{name}": "numbers of years",
        f"run/scores/detection/{name}": rows,
        f"run/scores/simulation/{name}": simulated,
    })  # fmt: skip
    assert not found.problems
    text, detection, simulation = found.records
    assert (text.layer, text.index, text.source, text.explanations[0].text) == (
        11,
        42,
        "layers.11.mlp",
        "numbers of years",
    )
    (score,) = detection.loose_scores
    assert (score.scorer, score.value, score.n_valid, score.n_failed) == ("detection", 0.75, 3, 1)
    assert [len(s.records) for s in detection.samples] == [4]
    assert [(s.scorer, s.value, s.n_valid) for s in simulation.loose_scores] == [("correlation", 0.5, 25)]


def simulated(distance: int, *scores: float | str) -> dict[str, Any]:
    """A group of excerpts with the scores of each, as delphi's ``convert_to_legacy_format`` makes it."""
    sequences = [
        {"distance": distance - 1, "true_activations": [0, 8], "ev_correlation_score": score, "rsquared_score": 0,
         "absolute_dev_explained_score": 0, "simulation": {
            "tokens": ["a", " b"], "expected_activations": [1.0, 9.0], "distribution_values": [],
            "activation_scale": "simulated_normalized_activations", "distribution_probabilities": [],
            "uncalibrated_simulation": None}}
        for score in scores
    ]  # fmt: skip
    return {"distance": distance, "scored_sequence_simulations": sequences, "ev_correlation_score": scores[0],
            "rsquared_score": 0, "absolute_dev_explained_score": 0}  # fmt: skip


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([simulated(1, 0.9), simulated(2, 0.8, 0.7), simulated(0, 0.5, 0.9, "nan")], (0.5, None, 3)),
        ([simulated(0, "nan", 0.9)], (None, "the file gives no number", 2)),
        ([simulated(3, 0.9, 0.8)], (0.9, None, 2)),
    ],
)
def test_the_simulation_score_of_delphi_is_that_of_all_excerpts(
    groups: list[dict[str, Any]], expected: tuple[float | None, str | None, int]
) -> None:
    found = read(DelphiReader(), **{"scores/simulation/layers.1_latent2.txt": groups})
    assert not found.problems
    (score,) = found.records[0].loose_scores
    assert (score.value, score.undefined_reason, score.n_valid) == expected


def test_groups_of_delphi_without_one_of_all_excerpts_have_no_score_and_it_is_said() -> None:
    found = read(DelphiReader(), **{"scores/simulation/layers.1_latent2.txt": [simulated(1, 0.9), simulated(2, 0.8)]})
    assert not found.records[0].loose_scores
    assert "no score of all excerpts together" in found.reasons[0]


def test_a_class_without_predictions_makes_the_score_undefined() -> None:
    found = read(
        DelphiReader(), **{"scores/fuzz/layers.1_latent2.txt": [classified(True, True), classified(False, None)]}
    )
    (score,) = found.records[0].loose_scores
    assert (score.scorer, score.value) == ("fuzzing", None)
    assert score.undefined_reason == "no excerpt of one of the two classes has a prediction"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("explanations/model_latent1.txt", "text", "holds no layer"),
        ("explanations/layers.1_latent1.txt", "", "the explanation is empty"),
        ("explanations/layers.1_latent1.txt", {"no": "text"}, "Expected `str`, got `object`"),
        ("explanations/layers.1_latent1.txt", "Explanation could not be parsed.", "delphi has no explanation here"),
        ("explanations/layers.1_latent1.txt", "No explanation found", "delphi has no explanation here"),
        ("scores/surprisal/layers.1_latent1.txt", [], "results of the scorer 'surprisal' are not read"),
    ],
)
def test_a_file_of_delphi_that_is_of_no_use_is_refused(name: str, value: Any, reason: str) -> None:
    found = read(DelphiReader(), **{name: value})
    assert not found.records
    assert reason in found.reasons[0]


def exemplars() -> dict[str, Any]:
    low = {"tokens": ["no"], "activations": [-4.0]}
    return {
        "activation_records": {
            "train": {"max": [activation_record(1, peak=5), activation_record(2, peak=7)], "min": [low]},
            "random_valid": {"max": [activation_record(3, peak=1)]},
        },
        "activation_percentiles": {"0.5": 0.1},
        "dataset_names": {"train": {"max": ["fineweb", "lmsys"]}},
    }


def test_exemplars_of_both_signs_are_read() -> None:
    (record,) = read(TransluceReader(), **{"exemplars/layer3/17.json": exemplars()}).records
    assert (record.layer, record.index) == (3, 17)
    assert {s.kind: [max(r.activations) for r in s.records] for s in record.samples} == {
        SampleKind.TOP: [7, 5], SampleKind.BOTTOM: [-4], SampleKind.RANDOM: [1],
    }  # fmt: skip
    assert record.samples[0].records[0].facts == {"split": "train", "sign": "max", "dataset_name": "lmsys"}
    assert record.facts == {"activation_percentiles": {"0.5": 0.1}}


def test_explanations_of_both_signs_are_read() -> None:
    scored = simulation_results(0, 0)["scored_explanations"][0]["scored_simulation"]
    sequences = {str(i): row for i, row in enumerate(scored["scored_sequence_simulations"])}
    simulations = {"valid": {"simulation_data": sequences, "ev_correlation_score": 0.5, "rsquared_score": None}}
    value = {
        "neuron_id": {"layer_index": 3, "neuron_index": 17},
        "explanations": {"pos": [{"explanation": "years", "simulations": simulations}], "neg": [
            {"explanation": "months", "simulations": None}, {"explanation": ""}]},
    }  # fmt: skip
    found = read(TransluceReader(), **{"explanations/3/17.json": value})
    (record,) = found.records
    assert [(e.text, e.author) for e in record.explanations] == [
        ("years", "Transluce (highest activations)"), ("months", "Transluce (lowest activations)"),
    ]  # fmt: skip
    (score,) = record.explanations[0].scores
    assert (score.scorer, score.sample, score.value, score.n_valid) == ("correlation", "transluce_valid", 0.5, 10)
    assert found.reasons == ["explanations/3/17.json: explanations.neg[1].explanation: the explanation is empty"]


@pytest.mark.parametrize(
    ("name", "value", "format"),
    [
        ("0/1.json", neuron_record(0, 1), DataFormat.OPENAI),
        ("0/1.jsonl", simulation_results(0, 1), DataFormat.OPENAI),
        ("batch-0.jsonl", {"modelId": "gpt2"}, DataFormat.NEURONPEDIA),
        ("batch-0.json", BATCH, DataFormat.SAEDASHBOARD),
        ("layer1/2.json", exemplars(), DataFormat.TRANSLUCE),
        ("explanations/layers.1_latent2.txt", "text", DataFormat.DELPHI),
        ("x.jsonl", {"format": "neuron-audit/1"}, DataFormat.JSONL),
    ],
)
def test_a_format_is_known_by_its_files(name: str, value: Any, format: DataFormat) -> None:
    others = [entry("README.md", b"# read me"), entry("empty.json", b"")]
    assert format_of([*others, entry(name, json.dumps(value).encode())]) is format


def test_a_format_that_is_not_known_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="--format"):
        format_of([entry("x.json", b"{}")])
