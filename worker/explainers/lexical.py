"""The lexical explainer: a sentence of quoted tokens, classes and places, without a language model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from app.domain.activations import NORMALISED_MAXIMUM, ActivationRecord, FloatArray, SampleKind, Split
from app.errors import MethodError
from worker.contracts import Candidate, NeuronTask, Services
from worker.lexical.grammar import sentence
from worker.lexical.matching import Block
from worker.lexical.proposals import propose
from worker.lexical.selection import Evidence, Search


class LexicalExplainer:
    """Train records propose what could be said; train and calibration records choose what is said."""

    name = "lexical"
    version = 1

    @classmethod
    def build(cls, parameters: Mapping[str, Any], services: Services) -> "LexicalExplainer":
        """The explainer of a method; it has no parameters."""
        return cls(**parameters)

    def explain(self, task: NeuronTask) -> tuple[Candidate, ...]:
        """One sentence. Raises MethodError where the train records never rise above 0."""
        train = task.train
        if not train or max(r.peak for r in train) <= 0:
            raise MethodError("The neuron does not fire in its train records; there is nothing to explain.")
        top = task.records.of(SampleKind.TOP, Split.CALIBRATION)
        random = task.records.of(SampleKind.RANDOM, Split.CALIBRATION)
        records = (*train, *top, *random)
        block = Block([r.token_ids for r in records], task.vocabulary)
        unit = np.float32(task.records.level_10 / NORMALISED_MAXIMUM)
        activations: FloatArray = np.concatenate([r.activations for r in records]).astype(np.float32) / unit
        proposals = propose(block, activations, sum(len(r.token_ids) for r in train))
        clauses = Search(block, proposals, Evidence(activations, folds(train, top, random))).run()
        return (Candidate(sentence(clauses)),)


def folds(
    train: Sequence[ActivationRecord], top: Sequence[ActivationRecord], random: Sequence[ActivationRecord]
) -> tuple[FloatArray, FloatArray]:
    """Two weightings of the tokens of all these records laid end to end. [N] each

    Train and calibration top records are apart, the random ones are dealt to both in turn; in each,
    top and random weigh the same, as in the score. Without calibration records both are the train records.
    """
    first, second = _weights(train), _weights(top if top else train)
    even, odd = _weights(random, 0), _weights(random, 1)
    nothing = np.zeros(first.size, dtype=np.float32)
    no_top = np.zeros(sum(len(r.token_ids) for r in top), dtype=np.float32)
    calibration = np.concatenate([nothing, second]) if top else first
    return np.concatenate([first, no_top, even]), np.concatenate([calibration, odd])


def _weights(records: Sequence[ActivationRecord], parity: int | None = None) -> FloatArray:
    """The same weight for every token of the records of one parity, 1 in all; 0 for the others."""
    chosen = [parity is None or place % 2 == parity for place in range(len(records))]
    weights = np.repeat(np.array(chosen, dtype=np.float32), [len(r.token_ids) for r in records])
    return weights / max(float(weights.sum()), 1.0)
