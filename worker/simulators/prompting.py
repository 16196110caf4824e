"""Parts that simulators with a language model share: tokens as lines, worked examples, checks.

The worked examples are made-up neurons, the same that explainers show.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from app.domain.language_models import Capability
from app.errors import MethodError
from worker.method.contracts import CannotSimulate, Services
from worker.method.prompts import EXAMPLES, Prompt, load
from worker.method.prompts.rendering import escape
from worker.providers.base import Provider

UNKNOWN = "?"
"""The placeholder for an answer. No tokenizer joins it with the tab before it, as many do with words."""

_PART_OF_CHARACTER = range(0xDC80, 0xDD00)


@dataclass(frozen=True, slots=True)
class Example:
    """One made-up neuron: its explanation and excerpts of (token, level)."""

    explanation: str
    excerpts: tuple[tuple[tuple[str, int], ...], ...]


@lru_cache
def examples() -> tuple[Example, ...]:
    """The worked examples of all prompts."""
    return tuple(
        Example(e["explanation"], tuple(tuple((token, level) for token, level in x) for x in e["excerpts"]))
        for e in load(EXAMPLES).data
    )


def shown(token: bytes) -> str:
    """A token on one line: no tabs, no line ends, no delimiters; bytes that are part of a character as ``\\xe2``."""
    text = token.decode("utf-8", errors="surrogateescape")
    return "".join(
        f"\\x{ord(part) - 0xDC00:02x}" if ord(part[0]) in _PART_OF_CHARACTER else escape(part)
        for part in _split_at_parts(text)
    )


def _split_at_parts(text: str) -> list[str]:
    """The text in pieces: each single byte separately, the rest together."""
    pieces: list[str] = []
    joins = False
    for character in text:
        lone = ord(character) in _PART_OF_CHARACTER
        if lone or not joins:
            pieces.append(character)
        else:
            pieces[-1] += character
        joins = not lone
    return pieces


def description(text: str) -> str:
    """An explanation on one line. Raises CannotSimulate for an empty one."""
    if not text.strip():
        raise CannotSimulate("The explanation is empty.")
    return escape(" ".join(text.split()))


def step_of(text: str, excerpt_id: int) -> str:
    """The name of one excerpt's request, equal for equal texts and excerpts."""
    return f"simulate/{hashlib.sha256(text.encode()).hexdigest()[:8]}/{excerpt_id}"


def provider_with(services: Services, capability: Capability, simulator: str) -> Provider:
    """The method's provider. Raises MethodError if there is none or it lacks the capability."""
    if services.provider is None:
        raise MethodError(f"The simulator {simulator} needs a language model; the method names no provider.")
    if capability not in services.provider.capabilities:
        can = ", ".join(c.label for c in sorted(services.provider.capabilities))
        raise MethodError(
            f"The simulator {simulator} needs {capability.label}, which {services.provider.name} does not offer "
            f"(it offers: {can}). Probe it again, or choose another simulator."
        )
    return services.provider


def provenance(prompt: Prompt) -> Mapping[str, Any]:
    """The digests of a prompt and its examples."""
    return {"prompt": prompt.provenance, "examples": load(EXAMPLES).provenance}
