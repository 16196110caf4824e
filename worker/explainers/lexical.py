"""The lexical explainer: a sentence of quoted tokens, word classes and positions, without a language model."""

from collections.abc import Mapping
from typing import Any

from app.domain.activations import NORMALISED_MAXIMUM, SampleKind, Split
from app.domain.samples import BANDS
from app.errors import MethodError
from worker.lexical.evidence import BANDS_WEIGHT, LOOKALIKES_WEIGHT, Group, evidence_of
from worker.lexical.grammar import sentence
from worker.lexical.proposals import propose
from worker.lexical.selection import Search
from worker.method.contracts import Candidate, NeuronTask, Services


class LexicalExplainer:
    """Train records and the token table propose claims; train and calibration records choose among them."""

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
        unit = task.records.level_10 / NORMALISED_MAXIMUM
        evidence = evidence_of(groups, task.records, task.vocabulary, unit=unit)
        clauses = Search(evidence, propose(evidence)).run()
        if not clauses:
            raise MethodError("No token, class or context that the lexical grammar knows predicts where it fires.")
        shown = {group.name: tuple(r.excerpt_id for r in group.records) for group in groups if group.records}
        return (Candidate(sentence(clauses), shown=shown),)


def evidence_groups(task: NeuronTask) -> tuple[Group, ...]:
    """The records that may choose what is said: train first, then calibration, none that score it.

    Top and random records weigh the same, as in the score. The bands between them and the
    look-alikes that hardly activate the neuron keep a sentence from being true of its peaks alone.
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
