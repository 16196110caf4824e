"""What the projects' own readers require of a file, rebuilt from their code: what they refuse, these refuse.

- OpenAI, ``fast_dataclasses.loads`` with ``activations.py`` and ``explanations.py``: an object that names its class
  must have the fields without a default and no others than the class has; a file of explanations has one line.
- Neuronpedia, ``lib/db/import.ts`` with ``schema.prisma``: the first line of a file names the columns; rows whose
  columns are not null there must have them; numbers are numbers.
"""

import json
from typing import Any

_OPENAI = {
    "ActivationRecord": (("tokens", "activations"), ()),
    "NeuronId": (("layer_index", "neuron_index"), ()),
    "NeuronRecord": (
        ("neuron_id",),
        ("random_sample", "random_sample_by_quantile", "quantile_boundaries", "mean", "variance", "skewness",
         "kurtosis", "most_positive_activation_records"),
    ),
    "SequenceSimulation": (
        ("tokens", "expected_activations", "activation_scale", "distribution_values", "distribution_probabilities"),
        ("uncalibrated_simulation",),
    ),
    "ScoredSequenceSimulation": (
        ("simulation", "true_activations", "ev_correlation_score"),
        ("rsquared_score", "absolute_dev_explained_score"),
    ),
    "ScoredSimulation": (
        ("scored_sequence_simulations",),
        ("ev_correlation_score", "rsquared_score", "absolute_dev_explained_score"),
    ),
    "ScoredExplanation": (("explanation", "scored_simulation"), ()),
    "NeuronSimulationResults": (("neuron_id", "scored_explanations"), ()),
}  # fmt: skip
"""Of each class the fields without and with a default."""


def openai_object(content: bytes, expected: str) -> dict[str, Any]:
    """The object of a file as OpenAI's loader takes it. Raises AssertionError for what it would refuse."""
    found: dict[str, Any] = json.loads(content, object_hook=_checked, parse_constant=_no_constant)
    assert found["dataclass_name"] == expected
    return found


def openai_explanations(content: bytes) -> dict[str, Any]:
    """A file of explanations. Raises AssertionError unless it has exactly one line."""
    lines = [line for line in content.decode("utf-8").split("\n") if line]
    assert len(lines) == 1
    return openai_object(lines[0].encode(), "NeuronSimulationResults")


def _checked(found: dict[str, Any]) -> dict[str, Any]:
    name = found.get("dataclass_name")
    assert name in _OPENAI, f"the loader knows no class {name}"
    required, optional = _OPENAI[name]
    fields = found.keys() - {"dataclass_name"}
    assert fields >= set(required), f"{name} lacks {set(required) - fields}"
    assert fields <= {*required, *optional}, f"{name} does not take {fields - {*required, *optional}}"
    return found


def _no_constant(name: str) -> float:
    raise AssertionError(f"{name} is no JSON")


_NEURONPEDIA = {
    "features": {"modelId", "layer", "index"},
    "activations": {"id", "tokens", "index", "layer", "modelId", "maxValue", "maxValueTokenIndex", "minValue", "values",
                    "creatorId"},
    "explanations": {"id", "modelId", "layer", "index", "description", "authorId"},
}  # fmt: skip
"""Columns that are not null and have no default, by the folder of the file."""
_DEFAULTS = {"createdAt", "frac_nonzero", "hasVector", "scoreV1", "updatedAt"}
"""Columns that are not null and have a default: it holds where no row of a file names the column."""
_WHOLE = {"umap_cluster", "maxValueTokenIndex", "dfaTargetIndex", "qualifyingTokenIndex"}
_TEXT = {
    "id",
    "modelId",
    "layer",
    "index",
    "description",
    "authorId",
    "creatorId",
    "hookName",
    "dataSource",
    "typeName",
}


def neuronpedia_rows(name: str, content: bytes) -> list[dict[str, Any]]:
    """The rows that an import inserts. Raises AssertionError for what the database would refuse."""
    folder = name.split("/")[-2]
    rows = [json.loads(line, parse_constant=_no_constant) for line in content.decode().split("\n") if line.strip()]
    columns = rows[0].keys()
    assert columns >= _NEURONPEDIA[folder], _NEURONPEDIA[folder] - columns
    for row in rows:
        assert row.keys() <= columns, "a column that the first row does not name is lost"
        for column in columns & (_NEURONPEDIA[folder] | _DEFAULTS):
            assert row.get(column) is not None, f"{column} may not be null"
        for column in columns & _WHOLE:
            assert row[column] is None or isinstance(row[column], int), f"{column} is an integer there"
        for column in columns & _TEXT:
            assert row[column] is None or isinstance(row[column], str), column
        if folder == "activations":
            assert len(row["tokens"]) == len(row["values"])
            assert 0 <= row["maxValueTokenIndex"] < len(row["values"])
    return rows
