"""A new subject as a person asks for it, and what a worker finds out about model and text before anything is run."""

import re
from dataclasses import asdict, dataclass
from typing import Any, Self

HUB_MODEL = re.compile(r"[\w][\w.-]*(/[\w][\w.-]*)?", re.ASCII)
DATA_SET = re.compile(
    r"datasets:[\w][\w.-]*(/[\w][\w.-]*)?(:[\w][\w.-]*)?(@[\w][\w.-]*(\[[0-9]*%?:[0-9]*%?\])?)?", re.ASCII
)
NAMED_CORPORA = ("demo:stdlib",)
"""Corpora that have a name of their own."""


def is_path(text: str) -> bool:
    """Whether a model or a corpus is named by an absolute path."""
    return text.startswith("/")


@dataclass(frozen=True, slots=True)
class SubjectRequest:
    """A model, a text and how it is read.

    ``model`` is an absolute path or a hub id, ``corpus`` as ``collect`` takes it. Without ``max_tokens`` the whole text
    is read.
    """

    slug: str
    model: str
    corpus: str
    name: str | None = None
    revision: str | None = None
    text_field: str = "text"
    context_length: int = 64
    max_tokens: int | None = None
    null_twin: bool = False
    """Whether the control, the same shape with permuted weights, is collected afterwards."""

    def as_json(self) -> dict[str, Any]:
        """The JSON that a task stores."""
        return asdict(self)

    def arguments(self) -> dict[str, Any]:
        """The arguments of the collection, other than model and corpus."""
        return {
            "slug": self.slug,
            "name": self.name,
            "revision": self.revision,
            "text_field": self.text_field,
            "context_length": self.context_length,
            "max_tokens": self.max_tokens,
        }


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is known of a collection before it begins. Sizes in bytes.

    ``weight_bytes``: of the files; None where they are still to be downloaded. ``memory_bytes``: of the weights and of
    what a pass keeps, at most. ``tokens``: of whole excerpts, exact with ``tokens_are_exact``, else at least so many.
    ``seconds``: of the pass, a rough estimate from the device's matrix rate.
    """

    architecture: str
    module_path: str
    activation_function: str | None
    n_layers: int
    neurons_per_layer: int
    n_parameters: int
    vocabulary_size: int
    bos_policy: str
    longest_context: int | None
    dtype: str
    device: str
    weight_bytes: int | None
    memory_bytes: int
    free_bytes: int
    tokens: int
    tokens_are_exact: bool
    seconds: float
    left_out: tuple[str, ...] = ()
    """Documents of the text that cannot be read, each with the reason; the first few."""

    @property
    def n_neurons(self) -> int:
        """The number of neurons of all layers."""
        return self.n_layers * self.neurons_per_layer

    @property
    def fits(self) -> bool:
        """Whether the memory that was free at the inspection is enough."""
        return self.memory_bytes <= self.free_bytes

    def as_json(self) -> dict[str, Any]:
        """The JSON of a task's result."""
        return asdict(self)

    @classmethod
    def of(cls, result: dict[str, Any]) -> Self:
        """Read the JSON of a task's result."""
        return cls(**{**result, "left_out": tuple(result["left_out"])})
