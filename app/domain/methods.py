"""Definitions of methods, and the ones that every installation has."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class MethodDefinition:
    """Explainer, simulator and scorers by their names in the registry, with their parameters.

    ``parameters`` holds one mapping per step: ``explainer``, ``simulator``, ``scorers`` (by scorer),
    ``baselines``, a list of the baselines to compute, and ``calibration``: ``none``, ``linear`` or
    ``percentile``.
    """

    name: str
    version: int
    label: str
    explainer: str
    simulator: str
    scorers: tuple[str, ...]
    provider: str | None = None
    """The name of a language model; see ``neuron-audit provider``."""
    parameters: Mapping[str, Any] = field(default_factory=dict)


LEXICAL = MethodDefinition(
    name="lexical",
    version=1,
    label="Lexical: tokens and contexts, without a language model",
    explainer="lexical",
    simulator="lexical",
    scorers=("correlation",),
)

DEFAULT_PROVIDER = "default"
"""The name of the language model that the built-in methods ask: whoever adds it chooses the model."""

_PAIRS = "token_activation_pairs"
_ASKING = {
    "pairs-all-at-once": ("Pairs, simulated all at once (prompt log-probabilities)", _PAIRS, "all_at_once"),
    "pairs-token-by-token": ("Pairs, simulated token by token (chat log-probabilities)", _PAIRS, "token_by_token"),
    "pairs-structured": ("Pairs, simulated as one JSON answer per excerpt", _PAIRS, "structured"),
    "highlighted-all-at-once": ("Highlighted, simulated all at once", "highlighted", "all_at_once"),
    "highlighted-structured": ("Highlighted, simulated as JSON", "highlighted", "structured"),
}
LANGUAGE_MODEL_METHODS = tuple(
    MethodDefinition(
        name=name,
        version=1,
        label=label,
        explainer=explainer,
        simulator=simulator,
        scorers=("correlation", "explained_variance", "absolute_deviation"),
        provider=DEFAULT_PROVIDER,
        parameters={"calibration": "linear"},
    )
    for name, (label, explainer, simulator) in _ASKING.items()
)

BUILTIN_METHODS: tuple[MethodDefinition, ...] = (LEXICAL, *LANGUAGE_MODEL_METHODS)
"""What every installation offers. A change of behaviour is a new version, not an edit."""
