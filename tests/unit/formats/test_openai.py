"""OpenAI's format: read, written, and both against each other."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.samples import SampleKind
from app.formats.files import File
from app.formats.openai.reader import OpenAIReader
from app.formats.openai.writer import openai_files
from app.formats.records import ActivationUnit, NeuronRecord
from tests.openai_files import neuron_record, simulation_results
from tests.unit.formats.neurons import openai_neurons
from tests.unit.formats.reading import Reading, joined, read_files
from tests.unit.formats.upstream import openai_explanations, openai_object


def read(name: str, value: Any) -> Reading:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return read_files(OpenAIReader(), [File(name, content)])


@given(st.lists(openai_neurons(), max_size=3, unique_by=lambda n: (n.layer, n.index)))
@settings(max_examples=60)
def test_what_is_written_is_read_again_whole(neurons: list[NeuronRecord]) -> None:
    found = read_files(OpenAIReader(), openai_files(neurons))
    assert not found.problems
    kept = [n for n in neurons if n.samples or n.explanations or n.statistics.known]
    again = joined(found.records)
    for neuron in kept:
        has_activations = bool(neuron.samples or neuron.statistics.known)
        assert again[neuron.layer, neuron.index].samples == neuron.samples
        assert list(again[neuron.layer, neuron.index].explanations) == list(neuron.explanations)
        assert again[neuron.layer, neuron.index].statistics == neuron.statistics
        assert again[neuron.layer, neuron.index].facts == (neuron.facts if has_activations else {})


@given(openai_neurons())
@settings(max_examples=60)
def test_what_is_written_is_what_openai_s_own_loader_takes(neuron: NeuronRecord) -> None:
    for file in openai_files([neuron]):
        if file.name.endswith(".jsonl"):
            found = openai_explanations(file.content)
        else:
            found = openai_object(file.content, "NeuronRecord")
        assert found["neuron_id"]["neuron_index"] == neuron.index


def test_a_file_of_activations_is_read() -> None:
    found = read("collated-activations/3/7.json", neuron_record(3, 7))
    (record,) = found.records
    assert (record.layer, record.index, str(record.origin)) == (3, 7, "collated-activations/3/7.json")
    assert [(s.kind, len(s.records)) for s in record.samples] == [
        (SampleKind.TOP, 20), (SampleKind.RANDOM, 20), *((SampleKind(f"band_{i}"), 5) for i in range(4)),
    ]  # fmt: skip
    assert record.statistics.known == {"mean": 0.125, "variance": 0.25, "skewness": 1.5}


def test_a_line_of_explanations_is_read() -> None:
    (record,) = read("explanations/3/7.jsonl", simulation_results(3, 7)).records
    (explanation,) = record.explanations
    assert explanation.text == " words about importing"
    assert [row.kind for row in explanation.simulations] == [SampleKind.TOP] * 5 + [SampleKind.RANDOM] * 5
    first = explanation.simulations[0].simulation
    assert first.unit is ActivationUnit.NEURON
    assert first.uncalibrated is not None
    assert first.uncalibrated.unit is ActivationUnit.LEVELS
    assert {score.scorer: score.n_valid for score in explanation.scores} == {
        "correlation": 10, "uncentred_r2": 10, "absolute_deviation_explained": 10,
    }  # fmt: skip


def test_older_names_and_numbers_as_text_are_understood() -> None:
    record = neuron_record(0, 0, neuron_id={"layer": "12", "idx": "345"}, mean="0.5", unknown={"deeply": ["unknown"]})
    record["random_sample"] = [{"tokens": ["a"], "activations": ["1.5"]}]
    (found,) = read("0.json", record).records
    assert (found.layer, found.index, found.statistics.mean) == (12, 345, 0.5)
    sequence = simulation_results(1, 2)["scored_explanations"][0]["scored_simulation"]["scored_sequence_simulations"][0]
    simulation = {**sequence.pop("simulation")}
    simulation["unit"] = simulation.pop("activation_scale")
    old = {
        "dataclass_name": "NeuronSimulationResults",
        "neuron_id": {"layer_index": "1", "neuron_index": 2},
        "scored_explanation_or_baseline_list": [
            {
                "explanation_or_baseline": "old",
                "scored_simulation": {"scored_sequence_simulations": [{**sequence, "sequence_simulation": simulation}]},
            }
        ],
    }
    (results,) = read("explanations/1/2.jsonl", old).records
    assert [e.text for e in results.explanations] == ["old"]
    assert results.explanations[0].simulations[0].simulation.unit is ActivationUnit.NEURON


def test_a_byte_order_mark_and_blank_lines_are_passed_over() -> None:
    line = json.dumps(simulation_results(0, 1)).encode()
    found = read("explanations/0/1.jsonl", b"\xef\xbb\xbf" + line + b"\r\n\n   \n" + line)
    assert [record.origin.line for record in found.records] == [1, 4]
    assert not found.problems
    assert read("1.json", b"\xef\xbb\xbf" + json.dumps(neuron_record(0, 1)).encode()).records


def test_predictions_that_are_null_are_failures_and_scores_that_are_null_undefined() -> None:
    results = simulation_results(0, 0)
    scored = results["scored_explanations"][0]["scored_simulation"]
    scored["ev_correlation_score"] = None
    scored["scored_sequence_simulations"][0]["simulation"]["expected_activations"] = None
    scored["scored_sequence_simulations"][1]["simulation"]["expected_activations"][2] = None
    (record,) = read("0.jsonl", results).records
    (explanation,) = record.explanations
    assert [None in row.simulation.expected for row in explanation.simulations] == [True, True] + [False] * 8
    score = explanation.scores[0]
    assert (score.value, score.n_valid, score.n_failed) == (None, 8, 2)
    assert score.undefined_reason == "the file gives no number"


def test_doubled_and_empty_explanations_are_refused() -> None:
    found = read("0.jsonl", simulation_results(0, 0, ("one", "  ", "one ", "two")))
    assert [e.text for e in found.records[0].explanations] == ["one", "two"]
    assert found.reasons == [
        "0.jsonl:1: scored_explanations[1].explanation: the explanation is empty",
        "0.jsonl:1: explanation: the same explanation stands twice; the first is kept",
    ]


def test_a_malformed_simulation_costs_neither_its_explanation_nor_the_others() -> None:
    results = simulation_results(0, 0, ("one", "two"))
    results["scored_explanations"][0] = {**results["scored_explanations"][0], "scored_simulation": {
        "scored_sequence_simulations": [{"true_activations": "no list"}]}}  # fmt: skip
    found = read("0.jsonl", results)
    one, two = found.records[0].explanations
    assert (one.text, list(one.simulations), one.scores[0].n_failed) == ("one", [], 1)
    assert (two.text, len(two.simulations)) == ("two", 10)
    path = "scored_explanations[0].scored_simulation.scored_sequence_simulations[0].true_activations"
    assert found.reasons == [f"0.jsonl:1: {path}: Expected `array`, got `str`"]


def test_numbers_that_are_not_finite_are_null_and_cost_nothing_else() -> None:
    record = neuron_record(
        0, 0, quantile_boundaries=[0.5, None], random_sample=None, random_sample_by_quantile=[None, []]
    )
    found = read("0.json", record)
    assert found.reasons == []
    assert [s.kind for s in found.records[0].samples] == ["top", "band_0", "band_1"]
    assert found.records[0].facts["quantile_boundaries"] == [0.5, None]
    tokens = {"tokens": ["a", "b"], "average_activations": [1.5, None]}
    found = read("related-tokens/activation-based/0/0.json", tokens)
    assert [record.facts for record in found.records] == [{"related-tokens/activation-based": tokens}]


def test_empty_quantiles_are_kept_and_duplicates_as_well() -> None:
    record = neuron_record(0, 0)
    rows = record["random_sample"][:1]
    record["random_sample"] = rows * 3
    record["random_sample_by_quantile"] = [[], rows, []]
    (found,) = read("0.json", record).records
    assert [(s.kind, len(s.records)) for s in found.samples[1:]] == [
        ("random", 3), ("band_0", 0), ("band_1", 1), ("band_2", 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"neuron_id": {"layer_index": -1, "neuron_index": 0}}, "layer: a layer is a number from 0 to 32767, not -1"),
        ({"neuron_id": {"layer_index": 0, "neuron_index": -3}}, "index: an index is a number from 0"),
        ({"neuron_id": {"layer_index": 0}}, "neuron_id: it does not say which neuron it is about"),
        ({"neuron_id": {"layer_index": "top", "neuron_index": 0}}, "neuron_id.layer_index: Expected `int"),
        ({"neuron_id": None}, "neuron_id: Expected `object`, got `null`"),
        ({"random_sample": {"0": []}}, "random_sample: Expected `array | null`, got `object`"),
        ({"random_sample_by_quantile": [[]] * 6}, "random_sample_by_quantile: it has 6 quantiles"),
    ],
)
def test_a_record_that_is_of_no_use_is_refused_with_its_field(change: dict[str, Any], reason: str) -> None:
    found = read("0.json", neuron_record(0, 0, **change))
    assert not found.records
    assert found.reasons[0].startswith(f"0.json: {reason}")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"tokens": ["a", "b"], "activations": [1.0]}, "activations: it has 2 tokens and 1 activations"),
        ({"tokens": [], "activations": []}, "tokens: it has no token"),
        ({"tokens": ["a"], "activations": [None]}, "activations[0]: Expected `float`, got `null`"),
        ({"tokens": ["a"], "activations": ["nan"]}, "activations: an activation is not a finite number"),
        ({"tokens": [7], "activations": [1]}, "tokens[0]: Expected `str`, got `int`"),
        ({"tokens": ["a"]}, "Object missing required field `activations`"),
    ],
)
def test_one_bad_activation_record_does_not_cost_the_others(row: dict[str, Any], reason: str) -> None:
    record = neuron_record(0, 0)
    record["random_sample"][2] = row
    found = read("0.json", record)
    assert [len(s.records) for s in found.records[0].samples] == [20, 19, 5, 5, 5, 5]
    (problem,) = found.reasons
    assert problem.startswith("0.json: random_sample[2]")
    assert problem.endswith(reason)


def test_related_tokens_and_neurons_are_kept_with_their_neuron() -> None:
    weights = {"input_positive": {"tokens": ["a"], "strengths": [1.5]}}
    neurons = {"c_fc": None, "c_proj": {"top_positive_neurons": ["3_7"], "top_positive_weights": [2]}}
    files = {
        "related-tokens/activation-based/5/6.json": {"tokens": ["a", "b"], "average_activations": [2.0, 1.0]},
        "related-tokens/weight-based/5/6.json": weights,
        "related-neurons/weight-based/5/6.json": neurons,
    }
    found = read_files(OpenAIReader(), [File(name, json.dumps(value).encode()) for name, value in files.items()])
    record = joined(found.records)[5, 6]
    assert record.facts.keys() == {name.rsplit("/", 2)[0] for name in files}
    again = joined(read_files(OpenAIReader(), openai_files([record])).records)[5, 6]
    assert again.facts == record.facts
