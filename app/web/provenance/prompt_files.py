"""The prompt files as pages show them. They are part of ``worker``, which the web does not import."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[3] / "worker" / "method" / "prompts"


@dataclass(frozen=True, slots=True)
class PromptShown:
    """One prompt with the digest that results are stored with."""

    name: str
    digest: str
    text: str


def prompt_files(names: Sequence[str]) -> tuple[PromptShown, ...]:
    """The texts of these prompts."""
    return tuple(_prompt(name) for name in names)


def _prompt(name: str) -> PromptShown:
    content = (FOLDER / f"{name}.txt").read_bytes()
    return PromptShown(name, hashlib.sha256(content).hexdigest()[:16], content.decode().removesuffix("\n"))
