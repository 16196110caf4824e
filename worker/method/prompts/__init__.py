"""The texts that language models are given: files in this folder, each with a digest.

Whoever shows a prompt stores its name and digest with the result; a changed file is a changed prompt.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from string import Template
from typing import Any

_FOLDER = Path(__file__).parent
EXAMPLES = "explain_examples.json"
"""Worked examples, which explainers and simulators show alike."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One file's text and the first 16 hexadecimal digits of its SHA-256."""

    name: str
    text: str
    digest: str

    def fill(self, **values: object) -> str:
        """The text with ``$name`` replaced. Values are taken literally; raises KeyError for one that lacks."""
        return Template(self.text).substitute(values)

    @property
    def data(self) -> Any:
        """What a JSON file holds. Raises ValueError for any other file."""
        return json.loads(self.text)

    @property
    def provenance(self) -> dict[str, str]:
        """What is stored with a result."""
        return {"name": self.name, "digest": self.digest}


@lru_cache
def load(name: str) -> Prompt:
    """A prompt by its file's name, with ``.txt`` where it has no suffix. Raises FileNotFoundError."""
    path = _FOLDER / (name if "." in name else f"{name}.txt")
    content = path.read_bytes()
    return Prompt(path.stem, content.decode().removesuffix("\n"), hashlib.sha256(content).hexdigest()[:16])
