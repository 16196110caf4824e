"""The lexical explainer: a sentence of quoted tokens, classes and places, without a language model."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from app.domain.activations import NORMALISED_MAXIMUM, SampleKind, Split
from app.errors import MethodError
from worker.contracts import Candidate, NeuronTask, Services
from worker.lexical.grammar import sentence
from worker.lexical.matching import Block
from worker.lexical.proposals import propose
from worker.lexical.selection import Evidence, Search


class LexicalExplainer:
    """Train records propose; train and calibration records together choose."""

    name = "lexical"
    version = 1

    @classmethod
    def build(cls, parameters: Mapping[str, Any], services: Services) -> "LexicalExplainer":
        """The explainer of a method; it has no parameters."""
        return cls(**parameters)

    def explain(self, task: NeuronTask) -> tuple[Candidate, ...]:
        """One sentence. Raises MethodError where the train records never rise above 0."""
        train = task.train
        top = task.records.of(SampleKind.TOP, Split.CALIBRATION)
        random = task.records.of(SampleKind.RANDOM, Split.CALIBRATION)
        if not train or max(r.peak for r in train) <= 0:
            raise MethodError("The neuron does not fire in its train records; there is nothing to explain.")
        records = [*train, *top, *random]
        block = Block([r.token_ids for r in records], task.vocabulary)
        y = np.concatenate([r.activations for r in records]).astype(np.float32)
        y = y * np.float32(NORMALISED_MAXIMUM / max(task.records.maximum, max(r.peak for r in train)))
        n_train = sum(len(r.token_ids) for r in train)
        n_top = n_train + sum(len(r.token_ids) for r in top)
        weights = np.ones(block.n, dtype=np.float32)
        if random:
            weights[n_top:] = n_top / (block.n - n_top)
        clauses = Search(block, propose(block, y, n_train), Evidence(y, weights)).run()
        return (Candidate(sentence(clauses)),)
