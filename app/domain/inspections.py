"""A person's request for a new subject, and a worker's findings about its model and text before the collection runs."""

import re
from dataclasses import asdict, dataclass
from typing import Any, Self

HUB_MODEL = re.compile(r"[\w][\w.-]*(/[\w][\w.-]*)?", re.ASCII)
DATA_SET = re.compile(
    r"datasets:[\w][\w.-]*(/[\w][\w.-]*)?(:[\w][\w.-]*)?(@[\w][\w.-]*(\[[0-9]*%?:[0-9]*%?\])?)?", re.ASCII
)
NAMED_CORPORA = ("demo:stdlib",)
"""Corpora that can be named instead of given as a path."""


def is_path(text: str) -> bool:
    """Whether the name of a model or corpus is an absolute path."""
    return text.startswith("/")


@dataclass(frozen=True, slots=True)
class SubjectRequest:
    """The model, the text and the options of a new subject.

    ``model`` is an absolute path or a hub id, ``corpus`` as ``collect`` takes it. If ``max_tokens`` is None, the whole
    text is read.
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
    """Whether a control, a network of the same shape with permuted weights, is collected afterwards."""

    def as_json(self) -> dict[str, Any]:
        """The request as the JSON that a task stores."""
        return asdict(self)

    def arguments(self) -> dict[str, Any]:
        """The arguments of the collection, without model and corpus."""
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
    """Facts about a collection known before it begins. Sizes in bytes.

    ``weight_bytes`` is the size of the model's files, None if they are still to be downloaded. ``memory_bytes`` is the
    maximum needed for the weights and for the collection's own data. ``tokens`` counts whole excerpts: exact if
    ``tokens_are_exact``, otherwise a lower bound. ``seconds`` is a rough estimate from the device's rate of matrix
    products.
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
    """The first few documents of the text that cannot be read, each with the reason."""

    @property
    def n_neurons(self) -> int:
        """The number of neurons of all layers."""
        return self.n_layers * self.neurons_per_layer

    @property
    def fits(self) -> bool:
        """Whether the memory that was free at the inspection is enough."""
        return self.memory_bytes <= self.free_bytes

    def as_json(self) -> dict[str, Any]:
        """The inspection as the JSON of a task's result."""
        return asdict(self)

    @classmethod
    def of(cls, result: dict[str, Any]) -> Self:
        """Read the JSON of a task's result."""
        return cls(**{**result, "left_out": tuple(result["left_out"])})
