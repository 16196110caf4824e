"""A subject and a simulator whose every result can be computed by hand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from app.domain.activations import ActivationRecord
from app.domain.arrays import Float32s, Int32s
from app.domain.results import SimulatedExcerpt
from app.domain.tokens import Vocabulary
from tests.worker.tasks import words
from worker.method.contracts import CannotSimulate


class WordSimulator:
    """Expects 10 on every token that is a word of the text, 0 elsewhere. Keeps its inputs."""

    name = "words"
    version = 1

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def simulate(
        self, text: str, excerpts: Sequence[tuple[int, Int32s]], vocabulary: Vocabulary
    ) -> tuple[SimulatedExcerpt, ...]:
        """As described above; a text without words cannot be simulated."""
        if not text.strip("?"):
            raise CannotSimulate("no word to read")
        self.asked.append((text, len(excerpts)))
        named = set(text.replace(";", " ").split())
        return tuple(
            SimulatedExcerpt(
                excerpt_id,
                len(token_ids),
                np.array([10.0 * (t.strip() in named) for t in vocabulary.strings(token_ids)], dtype=np.float32),
            )
            for excerpt_id, token_ids in excerpts
        )


class FakeSubject:
    """A neuron that has ``strengths`` on words; hidden states that point along ``direction``.

    Its next-token distribution has two tokens; the neuron's activation is the logit between them.
    """

    slug = "tiny"

    def __init__(
        self,
        vocabulary: Vocabulary,
        strengths: Mapping[str, float],
        direction: Callable[[str], Sequence[float]] = lambda _word: (1.0, 0.0),
    ) -> None:
        self._places = {token.decode().strip(" "): i for i, token in reversed(list(enumerate(vocabulary.tokens)))}
        self._vocabulary = vocabulary
        self._strengths = strengths
        self._direction = direction
        self.texts: list[str] = []
        self.corpus: list[Int32s] = []

    def activations(self, texts: Sequence[str], *, layer: int, index: int) -> tuple[ActivationRecord, ...]:
        """Each word's strength, under ids -1, -2, ... as of a loaded subject. Words must be in the vocabulary."""
        self.texts += texts
        return tuple(
            replace(self._record([token.strip(" ") for token, _ in words(text)]), excerpt_id=-number)
            for number, text in enumerate(texts, 1)
        )

    def corpus_excerpts(self, n: int, *, seed: int) -> Sequence[Int32s]:
        """The first of ``corpus``, of which a test may put some."""
        return self.corpus[:n]

    def excerpt_activations(self, excerpts: Sequence[Int32s], *, layer: int, index: int) -> tuple[Float32s, ...]:
        """Each word's strength."""
        rows = [[token.strip(" ") for token in self._vocabulary.strings(ids)] for ids in excerpts]
        return tuple(self._record(row).activations for row in rows)

    def peaks(self, text: str) -> tuple[Int32s, tuple[tuple[Float32s, Int32s], ...]]:
        raise NotImplementedError

    def contexts(self, excerpts: Sequence[Int32s], positions: Sequence[int], *, layer: int) -> Float32s:
        """The direction of the word at each position."""
        tokens = [self._vocabulary.strings(ids)[at].strip(" ") for ids, at in zip(excerpts, positions, strict=True)]
        return np.array([self._direction(token) for token in tokens], dtype=np.float32)

    def log_probabilities(
        self, excerpt: Int32s, *, layer: int, index: int, activations: Float32s | None = None
    ) -> Float32s:
        """The log of (sigmoid(a), sigmoid(-a)) at every position."""
        if activations is None:
            activations = self._record([t.strip(" ") for t in self._vocabulary.strings(excerpt)]).activations
        return np.stack([-np.logaddexp(0, -activations), -np.logaddexp(0, activations)], axis=1).astype(np.float32)

    def _record(self, tokens: Sequence[str]) -> ActivationRecord:
        return ActivationRecord(
            -1,
            np.array([self._places[token] for token in tokens], dtype=np.int32),
            np.array([self._strengths.get(token, 0.0) for token in tokens], dtype=np.float32),
        )
