"""Filters and selections of neurons in words, used as names of batches."""

from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import Neuron
from app.queries.neurons.filters import NeuronFilter
from app.queries.neurons.selection import NeuronSelection

EVERY = "all neurons"
_RANGES = {
    "headline": ("whole-corpus score", False),
    "score": ("2023 score", False),
    "margin": ("margin over the token table", False),
    "twin": ("rank in the null twin", True),
    "rate": ("firing rate", True),
}
"""The words of each range, and whether its values are shares."""


def selection_title(session: Session, *, selection: NeuronSelection) -> str:
    """The selection in words: ``neuron 3/17``, ``12 chosen neurons``, ``layer 3, whole-corpus score at most 0.4``."""
    if selection.neuron_ids is None:
        return filter_title(selection.filter)
    if len(selection.neuron_ids) > 1:
        return f"{len(selection.neuron_ids):,} chosen neurons"
    row = session.execute(select(Neuron.layer, Neuron.index).where(*selection.conditions)).first()
    return "no neuron" if row is None else f"neuron {row[0]}/{row[1]}"


def filter_title(wanted: NeuronFilter) -> str:
    """A filter in words."""
    return ", ".join(_parts(wanted)) or EVERY


def _parts(wanted: NeuronFilter) -> Iterator[str]:
    if wanted.layer is not None:
        yield f"layer {wanted.layer}"
    for name, (words, is_share) in _RANGES.items():
        low, high = getattr(wanted, f"{name}_min"), getattr(wanted, f"{name}_max")
        if low is not None or high is not None:
            yield f"{words} {_range(low, high, is_share=is_share)}"
    if wanted.state is not None:
        yield wanted.state.value.replace("_", " ")
    if wanted.doubt is not None:
        yield wanted.doubt.label
    if wanted.token is not None:
        yield f"driven by {'a token with ' if wanted.token_part else ''}“{wanted.token}”"
    if wanted.words:
        yield f"“{wanted.words}” in the explanation"
    yield from _origins(wanted)


def _origins(wanted: NeuronFilter) -> Iterator[str]:
    if wanted.method is not None:
        yield f"explained by the method {wanted.method}"
    if wanted.author is not None:
        yield f"author: {wanted.author}"
    if wanted.verdict is not None:
        yield f"verdict: {wanted.verdict.label.lower()}"
    if wanted.in_list is not None:
        yield f"list “{wanted.in_list.name or wanted.in_list.id}”"
    if wanted.by is not None:
        yield f"flagged or written by {wanted.by}"
    if wanted.simulator is not None:
        yield f"simulator {wanted.simulator}"


def _range(low: float | None, high: float | None, *, is_share: bool) -> str:
    def number(value: float) -> str:
        return f"{value * 100:g}%" if is_share else f"{value:g}".replace("-", "−")

    if low is None:
        return f"at most {number(high or 0.0)}"
    if high is None:
        return f"at least {number(low)}"
    return f"from {number(low)} to {number(high)}"
