"""The subject itself, as steps may use it if the worker has loaded it."""

from collections.abc import Sequence
from typing import Protocol, TypeVar, runtime_checkable

from app.domain.activations import ActivationRecord
from app.domain.arrays import Float32s, Int32s
from app.errors import MethodError
from worker.method.contracts import NeuronTask, Services


class SubjectOfCorpus(Protocol):
    """A subject with the corpus of its collection. Each excerpt is run separately, as in a collection."""

    @property
    def slug(self) -> str:
        """The subject's name in URLs."""
        ...

    def corpus_excerpts(self, n: int, *, seed: int) -> Sequence[Int32s]:
        """Up to ``n`` different random excerpts of the collected corpus [T]; none if the corpus is not kept."""
        ...

    def excerpt_activations(self, excerpts: Sequence[Int32s], *, layer: int, index: int) -> tuple[Float32s, ...]:
        """One neuron's activations on each of N excerpts [T], [T] each."""
        ...


@runtime_checkable
class LiveSubject(SubjectOfCorpus, Protocol):
    """A loaded subject. Each text or excerpt is run separately with the same first token, as in a collection."""

    def activations(self, texts: Sequence[str], *, layer: int, index: int) -> tuple[ActivationRecord, ...]:
        """One neuron's activations on each text, cut to the context length; excerpt ids -1, -2, ..."""
        ...

    def peaks(self, text: str) -> tuple[Int32s, tuple[tuple[Float32s, Int32s], ...]]:
        """The tokens [T] of a text, cut to the context length; per layer the peaks [N] and peak tokens [N] of N
        neurons.
        """
        ...

    def contexts(self, excerpts: Sequence[Int32s], positions: Sequence[int], *, layer: int) -> Float32s:
        """The hidden state after a layer at one position of each of N excerpts [T]. [N, D]"""
        ...

    def log_probabilities(
        self, excerpt: Int32s, *, layer: int, index: int, activations: Float32s | None = None
    ) -> Float32s:
        """Log-probabilities of the next token at every position of an excerpt [T]. [T, V], nats.

        ``activations`` [T], in the model's units, replace the neuron's own if given.
        """
        ...


def live_subject(services: Services, step: str) -> LiveSubject:
    """The loaded subject. Raises MethodError if the worker has none."""
    if not isinstance(services.subject, LiveSubject):
        raise MethodError(f"{step} runs the subject itself, and this worker has not loaded it.")
    return services.subject


AnySubject = TypeVar("AnySubject", bound=SubjectOfCorpus)


def same_subject(subject: AnySubject, task: NeuronTask) -> AnySubject:
    """Return the subject. Raises MethodError if the task's neuron belongs to another one."""
    if subject.slug != task.subject:
        raise MethodError(f"This worker has loaded {subject.slug}, and the neuron belongs to {task.subject}.")
    return subject
