"""The lexical explainer: a sentence of quoted tokens, word classes and positions, without a language model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.domain.activations import NORMALISED_MAXIMUM, ActivationRecord, FloatArray, SampleKind, Split
from app.domain.samples import BANDS
from app.errors import MethodError
from worker.lexical.grammar import sentence
from worker.lexical.matching import Block
from worker.lexical.proposals import propose
from worker.lexical.selection import Evidence, Search
from worker.method.contracts import Candidate, NeuronTask, Services

BANDS_WEIGHT = 1.0
LOOKALIKES_WEIGHT = 0.15
"""Small: they are the excerpts that are hardest to separate, and rare in text."""


class LexicalExplainer:
    """Train records propose claims; train and calibration records choose among them."""

    name = "lexical"
    version = 1

    @classmethod
    def build(cls, parameters: Mapping[str, Any], services: Services) -> "LexicalExplainer":
        """The explainer of a method; it has no parameters."""
        return cls(**parameters)

    def explain(self, task: NeuronTask) -> tuple[Candidate, ...]:
        """One sentence. Raises MethodError where the train records never rise above 0, or nothing predicts them."""
        train = task.train
        if not train or max(r.peak for r in train) <= 0:
            raise MethodError("The neuron does not fire in its train records; there is nothing to explain.")
        groups = evidence_groups(task)
        records = [record for group in groups for record in group.records]
        block = Block([r.token_ids for r in records], task.vocabulary)
        unit = np.float32(task.records.level_10 / NORMALISED_MAXIMUM)
        activations: FloatArray = np.concatenate([r.activations for r in records]).astype(np.float32) / unit
        proposals = propose(block, activations, sum(len(r.token_ids) for r in train))
        weights = (fold_weights(groups, 0), fold_weights(groups, 1))
        clauses = Search(block, proposals, Evidence(activations, weights)).run()
        if not clauses:
            raise MethodError("No token, class or context that the lexical grammar knows predicts where it fires.")
        shown = {group.name: tuple(r.excerpt_id for r in group.records) for group in groups if group.records}
        return (Candidate(sentence(clauses), shown=shown),)


@dataclass(frozen=True, slots=True)
class Group:
    """Records that weigh ``weight`` together, in one fold alone or dealt to both in turn."""

    name: str
    records: tuple[ActivationRecord, ...]
    weight: float
    fold: int | None = None


def evidence_groups(task: NeuronTask) -> tuple[Group, ...]:
    """The records that may choose the claims: train first, then calibration, none that score them.

    Top and random records weigh the same, as in the score. The bands between them and the
    hard negatives keep a sentence from being true of the neuron's peaks alone.
    """
    calibration = task.records.of(SampleKind.TOP, Split.CALIBRATION)
    bands = tuple(r for kind in BANDS for r in task.records.of(kind, Split.CALIBRATION))
    lookalikes = (*task.lookalikes, *task.records.of(SampleKind.HARD_NEGATIVE, Split.CALIBRATION))
    return (
        Group("train", task.train, 1.0, 0 if calibration else None),
        Group("calibration", calibration, 1.0, 1),
        Group("random", task.records.of(SampleKind.RANDOM, Split.CALIBRATION), 1.0),
        Group("bands", bands, BANDS_WEIGHT),
        Group("lookalikes", lookalikes, LOOKALIKES_WEIGHT),
    )


def fold_weights(groups: Sequence[Group], fold: int) -> FloatArray:
    """The weight of every token of all groups laid end to end in one of the two folds. [N]"""
    return np.concatenate([_group_weights(group, fold) for group in groups])


def _group_weights(group: Group, fold: int) -> FloatArray:
    """The same weight for each of the group's tokens in this fold. A single record is in both."""
    lengths = np.array([len(r.token_ids) for r in group.records], dtype=np.int64)
    dealt = np.arange(len(lengths)) % 2 == fold
    chosen = dealt if group.fold is None and len(lengths) > 1 else np.full(len(lengths), group.fold in (None, fold))
    weights = np.repeat(chosen.astype(np.float32), lengths)
    return weights * np.float32(group.weight / max(float(weights.sum()), 1.0))
