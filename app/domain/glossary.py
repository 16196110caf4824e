"""Terms of the site and what they mean, from one file; doubts say themselves what they mean."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.domain.doubts import Doubt


@dataclass(frozen=True, slots=True)
class Term:
    """One term: what it is, and what it does not notice where it is a measure."""

    name: str
    text: str
    blind: str = ""


def _read() -> Mapping[str, Term]:
    content = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    terms = {key: Term(**fields) for key, fields in tomllib.loads(content).items()}
    return terms | {f"doubt_{doubt}": Term(doubt.label, doubt.sentence) for doubt in Doubt}


GLOSSARY: Mapping[str, Term] = _read()
"""By key, in the order in which the glossary lists them; the doubts, as ``doubt_`` and their name, come last."""
