"""Definitions of methods, and the ones that every installation has."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class MethodDefinition:
    """Explainer, simulator and scorers by their names in the registry, with their parameters.

    ``parameters`` holds one mapping per step: ``explainer``, ``simulator``, ``scorers`` (by scorer),
    and ``baselines``, a list of the baselines to compute.
    """

    name: str
    version: int
    label: str
    explainer: str
    simulator: str
    scorers: tuple[str, ...]
    provider: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


LEXICAL = MethodDefinition(
    name="lexical",
    version=1,
    label="Lexical: tokens and contexts, without a language model",
    explainer="lexical",
    simulator="lexical",
    scorers=("correlation",),
)

BUILTIN_METHODS: tuple[MethodDefinition, ...] = (LEXICAL,)
"""What every installation offers. A change of behaviour is a new version, not an edit."""
