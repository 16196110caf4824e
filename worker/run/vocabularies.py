"""Vocabularies cached by a worker. One that an import has extended is read again."""

import threading
from collections.abc import Iterable, Iterator

import numpy as np
from sqlalchemy.orm import Session

from app.domain.activations import ActivationRecord, NeuronRecords
from app.domain.tokens import Vocabulary
from app.queries.neurons.records import vocabulary


class Vocabularies:
    """One vocabulary for each tokenizer. Threads share it."""

    def __init__(self) -> None:
        self._known: dict[int, Vocabulary] = {}
        self._lock = threading.Lock()

    def get(self, session: Session, *, tokenizer_id: int, biggest_token: int = -1) -> Vocabulary:
        """The vocabulary of a tokenizer, with at least the token ``biggest_token``. Raises NotFound."""
        with self._lock:
            known = self._known.get(tokenizer_id)
            if known is None or biggest_token >= len(known):
                known = self._known[tokenizer_id] = vocabulary(session, tokenizer_id=tokenizer_id)
            return known


def biggest_token(records: Iterable[ActivationRecord]) -> int:
    """The highest token id in any record; -1 if there is no record."""
    excerpts = [record.token_ids for record in records if record.token_ids.size]
    return int(np.concatenate(excerpts).max()) if excerpts else -1


def records_in(neurons: Iterable[NeuronRecords]) -> Iterator[ActivationRecord]:
    """The records of all samples of these neurons."""
    for neuron in neurons:
        for sample in neuron.samples.values():
            yield from sample
