"""Neurons for tests of explainers and scorers, without a database."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind, split_of
from app.domain.tokens import Vocabulary
from worker.method.contracts import NeuronTask

Excerpt = Sequence[tuple[str, float]]
"""Tokens with their activations."""

_TOKEN = re.compile(r" ?\w+|\s|[^\w\s]")

IMPORTS: tuple[Excerpt, ...] = (
    (("\n", 0.0), ("import", 8.0), (" os", 1.0), ("\n", 0.0), ("import", 7.6), (" re", 0.0)),
    (("from", 3.0), (" re", 0.0), (" import", 6.0), (" match", 0.0), ("\n", -0.5), ("x", 0.0)),
)
"""Two excerpts of a neuron that fires on imports; its maximum is 8."""
LOOKALIKE: Excerpt = (("They", 0.0), (" import", 0.2), (" tea", 0.0), (".", 0.0))


def words(text: str, activation: float = 0.0) -> Excerpt:
    """A text cut into words and signs, each with the same activation."""
    return tuple((token, activation) for token in _TOKEN.findall(text))


def task(samples: Mapping[SampleKind, Sequence[Excerpt]], *, maximum: float = 8.0, seed: int = 0) -> NeuronTask:
    """A neuron with these samples. Excerpt ids count from 1 through the samples as given.

    Records are dealt to splits by their rank alone, so that a test may repeat an excerpt.
    """
    tokens = dict.fromkeys(token for rows in samples.values() for row in rows for token, _ in row)
    places = {token: place for place, token in enumerate(tokens)}
    ids = iter(range(1, 1000))
    records = {
        kind: tuple(
            ActivationRecord(
                next(ids),
                np.array([places[token] for token, _ in row], dtype=np.int32),
                np.array([activation for _, activation in row], dtype=np.float32),
            )
            for row in rows
        )
        for kind, rows in samples.items()
    }
    vocabulary = Vocabulary("words", tuple(token.encode("utf-8", "surrogateescape") for token in tokens))
    splits = {kind: tuple(split_of(kind, rank) for rank in range(len(rows))) for kind, rows in records.items()}
    dealt = NeuronRecords(records, maximum, given_splits=splits)
    return NeuronTask(1, "tiny", 0, 0, dealt, vocabulary, None, seed)


def train_task(*excerpts: Excerpt, similar: Sequence[Excerpt] = (), maximum: float = 8.0) -> NeuronTask:
    """A neuron whose train split is ``excerpts``, with ``similar`` as the hard negatives' train split.

    The other splits hold an excerpt that no prompt may show.
    """
    hidden = (("HELD", 8.0), ("OUT", 0.0))
    samples: dict[SampleKind, Sequence[Excerpt]] = {
        SampleKind.TOP: [row for excerpt in excerpts for row in (excerpt, hidden, hidden, hidden)],
        SampleKind.HARD_NEGATIVE: [row for excerpt in similar for row in (excerpt, hidden, hidden, hidden)],
        SampleKind.RANDOM: [hidden] * 3,
    }
    return task(samples, maximum=maximum)
