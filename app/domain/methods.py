"""Definitions of methods, and the built-in ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.domain.samples import BANDS

NO_CALIBRATION = "none"


@dataclass(frozen=True, slots=True)
class MethodDefinition:
    """An explainer, a simulator and scorers by their registry names, with their parameters.

    ``parameters`` has one mapping per step: ``explainer``, ``simulator``, ``scorers`` (by scorer); ``baselines``, a
    list of the baselines to compute; and ``calibration``: ``none``, ``linear`` or ``percentile``.
    """

    name: str
    version: int
    label: str
    explainer: str
    simulator: str
    scorers: tuple[str, ...]
    provider: str | None = None
    """The name of a language model as given to ``neuron-audit provider``; None if the method calls none."""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_chance(self) -> bool:
        """Whether a repeated run may give another text: only replies of a language model vary."""
        return self.provider is not None


def simulator_name(simulator: str, parameters: Mapping[str, Any]) -> str:
    """The simulator's name with its calibration, as stored with scores and simulations: ``structured+linear``."""
    calibration = parameters.get("calibration", NO_CALIBRATION)
    return simulator if calibration == NO_CALIBRATION else f"{simulator}+{calibration}"


LEXICAL = MethodDefinition(
    name="lexical",
    version=1,
    label="Lexical: tokens and contexts, without a language model",
    explainer="lexical",
    simulator="lexical",
    scorers=("correlation", "whole_corpus", "neighbours"),
)

DEFAULT_PROVIDER = "default"
"""The name of the language model that the built-in methods call; a provider with this name serves them."""

_PAIRS = "token_activation_pairs"
_ASKING = {
    "pairs-all-at-once": ("Pairs, simulated all at once (prompt log-probabilities)", _PAIRS, "all_at_once"),
    "pairs-token-by-token": ("Pairs, simulated token by token (chat log-probabilities)", _PAIRS, "token_by_token"),
    "pairs-structured": ("Pairs, simulated as one JSON answer per excerpt", _PAIRS, "structured"),
    "highlighted-all-at-once": ("Highlighted, simulated all at once", "highlighted", "all_at_once"),
    "highlighted-structured": ("Highlighted, simulated as JSON", "highlighted", "structured"),
}
_FITTING = ("correlation", "whole_corpus", "explained_variance", "absolute_deviation")
_JUDGED = (*_FITTING, "detection", "fuzzing")


def _structured(
    names: tuple[str, str],
    explainer: str,
    scorers: tuple[str, ...] = _JUDGED,
    parameters: Mapping[str, Any] | None = None,
) -> MethodDefinition:
    """A method with the ``structured`` simulator, which works with any chat model; ``parameters`` by step."""
    return MethodDefinition(
        name=names[0],
        version=1,
        label=names[1],
        explainer=explainer,
        simulator="structured",
        scorers=scorers,
        provider=DEFAULT_PROVIDER,
        parameters={"calibration": "linear", **(parameters or {})},
    )


LANGUAGE_MODEL_METHODS = (
    *(
        MethodDefinition(
            name=name,
            version=1,
            label=label,
            explainer=explainer,
            simulator=simulator,
            scorers=_FITTING,
            provider=DEFAULT_PROVIDER,
            parameters={"calibration": "linear"},
        )
        for name, (label, explainer, simulator) in _ASKING.items()
    ),
    _structured(
        ("highlighted-all-scores", "Highlighted, scored in every way that needs no subject"),
        "highlighted",
        parameters={"scorers": {"correlation": {"samples": ["top_and_random", "top", "random", *BANDS]}}},
    ),
    _structured(
        ("highlighted-written", "Highlighted, tested on sentences written for it (runs the subject)"),
        "highlighted",
        (*_FITTING, "boundary", "own_texts", "found_texts", "written_texts", "intruder"),
    ),
    _structured(("contrastive", "Contrastive: against hard negatives"), "contrastive"),
    _structured(("best-of-4", "Best of four highlighted samples"), "best_of_n", parameters={"explainer": {"n": 4}}),
    _structured(("revised", "Revised on written sentences (runs the subject)"), "revise", (*_JUDGED, "ablation")),
    _structured(("per-meaning", "One text per meaning (runs the subject)"), "per_meaning", (*_JUDGED, "ablation")),
)

BUILTIN_METHODS: tuple[MethodDefinition, ...] = (LEXICAL, *LANGUAGE_MODEL_METHODS)
"""The methods of every installation. Changed behaviour needs a new version; a definition is never edited."""
