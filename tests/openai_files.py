"""Files in OpenAI's format, written by hand as its public data are: for tests of readers and imports."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

WORDS = (" the", " cat", " sat", " on", " import", "\n", " a", "\ufffd")
IMPORT = 4
"""The token that every neuron fires on."""


def activation_record(number: int, *, peak: float, length: int = 8) -> dict[str, Any]:
    """The record of one excerpt; excerpts of different numbers differ."""
    tokens = [WORDS[(number // len(WORDS) ** place) % len(WORDS)] for place in range(length - 1)] + [WORDS[IMPORT]]
    activations = [float(np.float16(peak)) if token == WORDS[IMPORT] else -0.0625 for token in tokens]
    return {"tokens": tokens, "activations": activations}


def neuron_record(layer: int, index: int, *, n_top: int = 20, **values: Any) -> dict[str, Any]:
    """``collated-activations``: excerpts are shared by all neurons."""
    return {
        "dataclass_name": "NeuronRecord",
        "neuron_id": {"dataclass_name": "NeuronId", "layer_index": layer, "neuron_index": index},
        "most_positive_activation_records": [activation_record(i, peak=8 - i / 8) for i in range(n_top)],
        "random_sample": [activation_record(100 + i, peak=1.0) for i in range(20)],
        "random_sample_by_quantile": [
            [activation_record(200 + 10 * b + i, peak=b) for i in range(5)] for b in range(4)
        ],
        "quantile_boundaries": [0.5, 1.0, 2.0, 3.0],
        "mean": 0.125,
        "variance": 0.25,
        "skewness": 1.5,
        "kurtosis": None,
        **values,
    }


def simulation_results(
    layer: int, index: int, texts: Sequence[str] = (" words about importing",), *, score: float | None = None
) -> dict[str, Any]:
    """``explanations``: each text simulated on five top and five random excerpts."""
    rows = [activation_record(i, peak=8 - i / 8) for i in range(2, 20, 4)]
    rows += [activation_record(100 + i, peak=1.0) for i in range(1, 15, 3)]
    sequences = [_scored_sequence(row) for row in rows]
    stated = published_score(sequences) if score is None else score
    return {
        "neuron_id": {"layer_index": layer, "neuron_index": index},
        "scored_explanations": [
            {
                "explanation": text,
                "scored_simulation": {
                    "scored_sequence_simulations": sequences,
                    "ev_correlation_score": stated,
                    "rsquared_score": 0.5,
                    "absolute_dev_explained_score": 0.25,
                },
            }
            for text in texts
        ],
    }


def published_score(sequences: Sequence[dict[str, Any]]) -> float:
    """Pearson's r over all tokens laid end to end."""
    real = np.concatenate([row["true_activations"] for row in sequences])
    expected = np.concatenate([row["simulation"]["expected_activations"] for row in sequences])
    return float(np.corrcoef(real, expected)[0, 1])


def _scored_sequence(row: dict[str, Any]) -> dict[str, Any]:
    levels = [9.0 if token == WORDS[IMPORT] else i % 2 / 4 for i, token in enumerate(row["tokens"])]
    inner = {
        "tokens": row["tokens"],
        "expected_activations": levels,
        "activation_scale": "simulated_normalized_activations",
        "distribution_values": [[0.0, 9.0]] * len(levels),
        "distribution_probabilities": [[0.25, 0.75]] * len(levels),
    }
    return {
        "simulation": {
            **inner,
            "expected_activations": [0.5 * level for level in levels],
            "activation_scale": "neuron_activations",
            "uncalibrated_simulation": inner,
        },
        "true_activations": row["activations"],
        "ev_correlation_score": 0.5,
        "rsquared_score": None,
        "absolute_dev_explained_score": 0.125,
    }


def write_json(path: Path, value: Any) -> None:
    """One file of one JSON value, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value) + "\n")


def write_data_set(folder: Path, *, layers: int = 2, neurons: int = 3) -> Path:
    """A data set of so many layers of so many neurons, each with one explanation."""
    for layer in range(layers):
        for index in range(neurons):
            write_json(folder / f"collated-activations/{layer}/{index}.json", neuron_record(layer, index))
            results = simulation_results(layer, index, (f" words about importing {layer}/{index}",))
            write_json(folder / f"explanations/{layer}/{index}.jsonl", results)
    return folder
