"""Provenance as readable facts: one line each, with links. Facts without a line are only in the raw JSON below."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

EXCERPT_GROUPS = {"shown": "Excerpts shown", "scored": "Excerpts scored"}
LABELS = {
    "seed": "Seed",
    "site": "Site",
    "method": "Method",
    "explainer": "Explainer",
    "simulator": "Simulator",
    "scorers": "Scorers",
    "baselines": "Baselines",
    "provider": "Language model",
    "model": "Model",
    "prompt": "Prompt",
    "code_version": "Code",
    "collection_id": "Collection",
    "tokenizer_digest": "Tokenizer",
}
"""The labels of known facts, in the order of the page."""


@dataclass(frozen=True, slots=True)
class FactPart:
    """A piece of a fact's text, and the address that it links to, if any."""

    text: str
    href: str | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """A label with its pieces."""

    label: str
    parts: tuple[FactPart, ...]


def provenance_facts(provenance: Mapping[str, Any], *, neuron: str) -> tuple[Fact, ...]:
    """The facts of an explanation of the neuron at the address ``neuron``, in a fixed order; others after them."""
    order = [*LABELS, *EXCERPT_GROUPS]
    keys = sorted(provenance, key=lambda key: (order.index(key) if key in order else len(order), key))
    return tuple(fact for key in keys for fact in _facts(key, provenance[key], neuron))


def _facts(key: str, value: Any, neuron: str) -> Iterator[Fact]:
    if key in EXCERPT_GROUPS and isinstance(value, Mapping):
        for group, ids in value.items():
            if isinstance(ids, list) and ids and all(isinstance(i, int) for i in ids):
                label = f"{EXCERPT_GROUPS[key]}: {group.replace('_', ' ')}"
                yield Fact(label, tuple(FactPart(str(i), f"{neuron}/excerpts/{i}") for i in ids))
        return
    text = _written(value)
    if text:
        yield Fact(LABELS.get(key, key.replace("_", " ").capitalize()), (FactPart(text),))


def _written(value: Any) -> str:
    """A value as text on one line; empty if it does not fit."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int | float):
        return str(value) if len(str(value)) <= 200 and "\n" not in str(value) else ""
    if isinstance(value, list):
        parts = [_written(part) for part in value]
        return ", ".join(parts) if parts and all(parts) and len(parts) <= 12 else ""
    if isinstance(value, Mapping):
        return _mapping(value)
    return ""


def _mapping(value: Mapping[str, Any]) -> str:
    """``lexical v1``, ``lexical v1 (best of = 4)``, ``kind mlp, read input of ...``."""
    rest = {k: v for k, v in value.items() if k not in {"name", "version", "parameters"}}
    if "name" not in value:
        return ", ".join(f"{k.replace('_', ' ')} {text}" for k, v in rest.items() if (text := _written(v)))
    name = f"{value['name']} v{value['version']}" if "version" in value else str(value["name"])
    rest |= value["parameters"] if isinstance(value.get("parameters"), Mapping) else {}
    details = [f"{k.replace('_', ' ')} {text}" for k, v in rest.items() if (text := _written(v))]
    return f"{name} ({', '.join(details)})" if details else name
