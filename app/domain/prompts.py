"""Which prompt files a method gives to a language model."""

from collections.abc import Mapping, Sequence
from typing import Any

PROMPTS_OF: Mapping[str, tuple[str, ...]] = {
    "token_activation_pairs": ("explain_pairs",),
    "highlighted": ("explain_highlighted",),
    "contrastive": ("explain_contrastive",),
    "revise": ("write_sentences", "revise"),
    "all_at_once": ("simulate_all_at_once",),
    "token_by_token": ("simulate_token",),
    "structured": ("simulate_structured",),
    "detection": ("detection",),
    "fuzzing": ("fuzzing",),
}
"""By the name of a step: explainer, simulator or scorer."""
BUILD_ON_ANOTHER = frozenset({"best_of_n", "revise", "per_meaning"})
"""Explainers around another one, which their parameter ``explainer`` names."""
DEFAULT_INNER = "highlighted"


def prompts_of(
    explainer: str, simulator: str, scorers: Sequence[str], parameters: Mapping[str, Any]
) -> tuple[str, ...]:
    """The names of a method's prompts, each once, in the order in which its steps use them."""
    inner = [parameters.get("explainer", {}).get("explainer", DEFAULT_INNER)] if explainer in BUILD_ON_ANOTHER else []
    steps = [*inner, explainer, simulator, *scorers]
    return tuple(dict.fromkeys(prompt for step in steps for prompt in PROMPTS_OF.get(step, ())))
