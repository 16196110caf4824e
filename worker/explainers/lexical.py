"""The lexical explainer: a sentence of quoted tokens, word classes and positions, without a language model."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from app.domain.activations import NORMALISED_MAXIMUM, SampleKind, Split
from app.domain.samples import BANDS
from app.domain.scores import pearson
from app.domain.token_table import TokenTable
from app.errors import MethodError, NoExplanation
from worker.lexical.evidence import BANDS_WEIGHT, CORPUS, LOOKALIKES_WEIGHT, Evidence, Group, evidence_of
from worker.lexical.grammar import sentence
from worker.lexical.proposals import propose
from worker.lexical.selection import Search
from worker.method.contracts import Candidate, NeuronTask, Services

WORTH_SAYING = 0.2
"""The value of a sentence, a mean of correlations, below which nothing is said."""


class LexicalExplainer:
    """Train records and the token table propose claims; train and calibration records choose among them."""

    name = "lexical"
    version = 1

    @classmethod
    def build(cls, parameters: Mapping[str, Any], services: Services) -> "LexicalExplainer":
        """The explainer of a method; it has no parameters."""
        return cls(**parameters)

    def explain(self, task: NeuronTask) -> tuple[Candidate, ...]:
        """One sentence.

        Raises NoExplanation where none is worth saying, MethodError where no train record rises above 0.
        """
        train = task.train
        if not train or max(r.peak for r in train) <= 0:
            raise MethodError("The neuron does not fire in its train records; there is nothing to explain.")
        groups = evidence_groups(task)
        unit = task.records.level_10 / NORMALISED_MAXIMUM
        evidence = evidence_of(groups, task.records, task.vocabulary, unit=unit)
        search = Search(evidence, propose(evidence))
        items = search.run()
        if not items or search.value(items) < WORTH_SAYING:
            raise NoExplanation(nothing_found(evidence, task.tokens, unit=unit))
        shown = {group.name: tuple(r.excerpt_id for r in group.records) for group in groups if group.records}
        return (Candidate(sentence(search.clauses(items)), shown=shown),)


def nothing_found(evidence: Evidence, tokens: TokenTable | None, *, unit: float) -> str:
    """Why there is no explanation, and what the token table reaches: its correlation in the view of the corpus."""
    said = "No explanation found: no token, class or position of the lexical language says where this neuron fires."
    if tokens is None:
        return f"{said} Its tokens have not been counted over a corpus."
    n = evidence.block.n
    expected, real = tokens.expected(evidence.block.ids).astype(np.float64) / unit, evidence.activations[:n]
    weights = evidence.weights[CORPUS, :n]
    columns = np.stack([np.ones(n), real, expected, real**2, expected**2, real * expected])
    r = float(pearson((columns @ weights)[None])[0])
    return f"{said} The table of its tokens' means correlates {r:.2f}." if np.isfinite(r) else said


def evidence_groups(task: NeuronTask) -> tuple[Group, ...]:
    """The records from which a sentence is chosen: train first, then calibration, never those that score it.

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
