"""Prompts of language models: files in this folder, each identified by a digest.

A step that uses a prompt stores its name and digest with the result; a changed file is a changed prompt.
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
"""Worked examples, the same for explainers and simulators."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One file's text and the first 16 hexadecimal digits of its SHA-256."""

    name: str
    text: str
    digest: str

    def fill(self, **values: object) -> str:
        """The text with ``$name`` replaced. Values are inserted literally; raises KeyError for a missing one."""
        return Template(self.text).substitute(values)

    @property
    def data(self) -> Any:
        """The content of a JSON file. Raises ValueError for any other file."""
        return json.loads(self.text)

    @property
    def provenance(self) -> dict[str, str]:
        """The name and digest, as stored with a result."""
        return {"name": self.name, "digest": self.digest}


@lru_cache
def load(name: str) -> Prompt:
    """A prompt by its file's name, with ``.txt`` where it has no suffix. Raises FileNotFoundError."""
    path = _FOLDER / (name if "." in name else f"{name}.txt")
    content = path.read_bytes()
    return Prompt(path.stem, content.decode().removesuffix("\n"), hashlib.sha256(content).hexdigest()[:16])
