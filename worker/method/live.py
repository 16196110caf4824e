"""What a step may ask of the subject itself, where the worker has it loaded."""

from collections.abc import Sequence
from typing import Protocol, TypeVar, runtime_checkable

from app.domain.activations import ActivationRecord
from app.domain.arrays import Float32s, Int32s
from app.errors import MethodError
from worker.method.contracts import NeuronTask, Services


class SubjectOfCorpus(Protocol):
    """A subject with the corpus that it was collected on. Each excerpt is run on its own, as in a collection."""

    @property
    def slug(self) -> str:
        """The subject's name in addresses."""
        ...

    def corpus_excerpts(self, n: int, *, seed: int) -> Sequence[Int32s]:
        """Up to ``n`` random excerpts of the collected corpus [T], no two the same; none where its text is not kept."""
        ...

    def excerpt_activations(self, excerpts: Sequence[Int32s], *, layer: int, index: int) -> tuple[Float32s, ...]:
        """One neuron's activations on each of N excerpts [T], [T] each."""
        ...


@runtime_checkable
class LiveSubject(SubjectOfCorpus, Protocol):
    """A loaded subject. Texts and excerpts are run as in a collection: each on its own, same start."""

    def activations(self, texts: Sequence[str], *, layer: int, index: int) -> tuple[ActivationRecord, ...]:
        """One neuron's activations on each text, cut to the context length; excerpt ids -1, -2, ..."""
        ...

    def peaks(self, text: str) -> tuple[Int32s, tuple[tuple[Float32s, Int32s], ...]]:
        """The tokens [T] of a text, cut to the context length, and of each layer's N neurons peak [N] and token [N]."""
        ...

    def contexts(self, excerpts: Sequence[Int32s], positions: Sequence[int], *, layer: int) -> Float32s:
        """The hidden state behind a layer at one position of each of N excerpts [T]. [N, D]"""
        ...

    def log_probabilities(
        self, excerpt: Int32s, *, layer: int, index: int, activations: Float32s | None = None
    ) -> Float32s:
        """Log-probabilities of the next token at every position of an excerpt [T]. [T, V], nats.

        With ``activations`` [T], in the model's units, these replace the neuron's own.
        """
        ...


def live_subject(services: Services, step: str) -> LiveSubject:
    """The loaded subject. Raises MethodError where the worker has none."""
    if not isinstance(services.subject, LiveSubject):
        raise MethodError(f"{step} runs the subject itself, and this worker has not loaded it.")
    return services.subject


AnySubject = TypeVar("AnySubject", bound=SubjectOfCorpus)


def same_subject(subject: AnySubject, task: NeuronTask) -> AnySubject:
    """The subject again. Raises MethodError where the task's neuron belongs to another one."""
    if subject.slug != task.subject:
        raise MethodError(f"This worker has loaded {subject.slug}, and the neuron belongs to {task.subject}.")
    return subject
