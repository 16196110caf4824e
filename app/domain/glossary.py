"""Terms of the site and their meanings, read from one file.

The meanings of doubts are defined in ``doubts``, and what scorers do not notice in the catalogue of steps.
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
    """One term: its meaning and, for a measure, what it does not notice."""

    name: str
    text: str
    blind: str = ""


def _read() -> Mapping[str, Term]:
    content = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    blind_spots = {name: {"blind": spec.blind_spot} for name, spec in SCORERS.items()}
    terms = {key: Term(**blind_spots.get(key, {}) | own) for key, own in tomllib.loads(content).items()}
    return terms | {f"doubt_{doubt}": Term(doubt.label, doubt.sentence) for doubt in Doubt}


GLOSSARY: Mapping[str, Term] = _read()
"""Terms by key, in the order of the glossary page; the doubts, keyed ``doubt_`` + name, come last."""

_OF_SCORES: Mapping[str, str] = {
    EXECUTED: "whole_corpus",
    RECOMPUTED: "correlation",
    "uncentred_r2": "uncentred_rsquared",
}
"""Terms of scores by the name of the score, where the key differs."""
_SIDES = ("margin", "precision", "recall", "explained_variance")
"""Suffixes of the scores that accompany a whole-corpus or sample score, and their terms."""


def term_of_score(scorer: str) -> str | None:
    """The key of the term that explains a stored score, by its scorer's name; None for an imported score."""
    if scorer in _OF_SCORES:
        return _OF_SCORES[scorer]
    side = next((side for side in _SIDES if scorer.endswith(f"_{side}")), None)
    if side is not None and side in GLOSSARY:
        return side
    parts = scorer.split("_")
    names = ("_".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((name for name in names if name in GLOSSARY), None)
