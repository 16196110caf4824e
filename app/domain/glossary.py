"""Terms of the site and what they mean, from one file.

Doubts say what they mean where they are defined, and scorers what they do not notice in the catalogue of steps.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.domain.doubts import Doubt
from app.domain.executed import EXECUTED
from app.domain.imports import RECOMPUTED
from app.domain.steps.catalogue import SCORERS


@dataclass(frozen=True, slots=True)
class Term:
    """One term: what it is, and what it does not notice where it is a measure."""

    name: str
    text: str
    blind: str = ""


def _read() -> Mapping[str, Term]:
    content = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    blind_spots = {name: {"blind": spec.blind_spot} for name, spec in SCORERS.items()}
    terms = {key: Term(**blind_spots.get(key, {}) | own) for key, own in tomllib.loads(content).items()}
    return terms | {f"doubt_{doubt}": Term(doubt.label, doubt.sentence) for doubt in Doubt}


GLOSSARY: Mapping[str, Term] = _read()
"""Terms by key, in the order in which the glossary lists them; the doubts, as ``doubt_`` and their name, come last."""

_OF_SCORES: Mapping[str, str] = {
    EXECUTED: "whole_corpus",
    RECOMPUTED: "correlation",
    "uncentred_r2": "uncentred_rsquared",
}
"""The terms of scores that are not named after them."""
_SIDES = ("margin", "precision", "recall", "explained_variance")
"""What scores over the corpus and of samples have beside them, under their name and one of these."""


def term_of_score(scorer: str) -> str | None:
    """The key of the term that explains a score, by the name under which it is stored; None for one of an import.

    ``detection_auc`` is a number of ``detection``, ``whole_corpus_precision`` a precision.
    """
    if scorer in _OF_SCORES:
        return _OF_SCORES[scorer]
    side = next((side for side in _SIDES if scorer.endswith(f"_{side}")), None)
    if side is not None and side in GLOSSARY:
        return side
    parts = scorer.split("_")
    names = ("_".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((name for name in names if name in GLOSSARY), None)
