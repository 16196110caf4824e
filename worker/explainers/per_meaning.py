"""One explanation per group of alike excerpts, joined where the joined text predicts better."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from app.domain.activations import ActivationRecord
from app.domain.bounds import LONGEST_EXPLANATION
from app.domain.clusters import clusters
from app.domain.steps.explainers import MOST_MEANINGS, MOST_SHOWN, compared_records
from app.errors import MethodError
from worker.explainers.choosing import calibration_scores, inner_of, simulator_of
from worker.explainers.prompted import PromptedExplainer
from worker.method.contracts import Candidate, NeuronTask, Services, Simulator, shown_together
from worker.method.live import LiveSubject, live_subject, same_subject


@dataclass(frozen=True, slots=True)
class Meaning:
    """A group of train records that the subject sees alike, with its share (0..1) of their activation.

    ``text`` is None where no reply was usable.
    """

    text: str | None
    share: float
    excerpt_ids: tuple[int, ...]


class PerMeaning:
    """Groups the train records by the subject's hidden state at their peaks and explains each group.

    The one explanation of all records is the other choice: what correlates better on the
    calibration split wins. Its provenance has the meanings and their shares either way.
    """

    name = "per_meaning"
    version = 1

    def __init__(self, explainer: PromptedExplainer, simulator: Simulator, subject: LiveSubject) -> None:
        self.explainer = explainer
        self.simulator = simulator
        self.subject = subject

    @classmethod
    def build(cls, parameters: Mapping[str, Any], services: Services) -> "PerMeaning":
        """It has no parameters of its own. Raises MethodError for an inner explainer that shows no chosen records."""
        explainer = inner_of(services, cls.name)
        if not isinstance(explainer, PromptedExplainer):
            raise MethodError(f"{cls.name} cannot build on {explainer.name}, which explains no part of the records.")
        return cls(explainer, simulator_of(services, cls.name), live_subject(services, cls.name))

    def explain(self, task: NeuronTask) -> tuple[Candidate, ...]:
        """One text. Raises MethodError where no reply was usable, ProviderError as the provider does."""
        groups = self.grouped(task)
        if len(groups) < 2:
            return self.explainer.explain(task)
        steps = {"explain/all": task.train[:MOST_SHOWN]}
        steps |= {f"explain/meaning/{i}": group[:MOST_SHOWN] for i, group in enumerate(groups)}
        whole, *parts = self.explainer.explain_each(task, steps, self.explainer.similar(task))
        meanings = [
            Meaning(part.text if isinstance(part, Candidate) else None, share, tuple(r.excerpt_id for r in group))
            for part, share, group in zip(parts, shares(groups), groups, strict=True)
        ]
        return (self._better(task, whole, [part for part in parts if isinstance(part, Candidate)], meanings),)

    def grouped(self, task: NeuronTask) -> list[tuple[ActivationRecord, ...]]:
        """The train records by meaning, the largest share of activation first."""
        records = task.train
        if not records:
            raise MethodError("The neuron has no train records to explain.")
        points = same_subject(self.subject, task).contexts(
            [r.token_ids for r in records], [int(np.argmax(r.activations)) for r in records], layer=task.layer
        )
        labels = clusters(points, most=MOST_MEANINGS)
        groups = [tuple(r for r, own in zip(records, labels, strict=True) if own == label) for label in set(labels)]
        return sorted(groups, key=lambda group: (-_mass(group), group[0].excerpt_id))

    def _better(
        self, task: NeuronTask, whole: Candidate | str, parts: Sequence[Candidate], meanings: Sequence[Meaning]
    ) -> Candidate:
        joined = "; ".join(dict.fromkeys(part.text for part in parts))
        choices: dict[str, Candidate] = {}
        if isinstance(whole, Candidate):
            choices[whole.text] = whole
        if len(parts) > 1 and len(joined) <= LONGEST_EXPLANATION:
            shown = shown_together(*(part.shown for part in parts))
            choices.setdefault(joined, Candidate(joined, _explained_apart(parts), shown=shown))
        if not choices:
            raise MethodError(f"The language model gave no usable explanation: {whole}")
        scores = dict(zip(choices, calibration_scores(list(choices), task, self.simulator), strict=True))
        text = max(choices, key=lambda choice: scores[choice].rank)  # the first of equals: the whole
        provenance = {
            **choices[text].provenance,
            "joined": text == joined and len(parts) > 1,
            "meanings": [asdict(meaning) for meaning in meanings],
            "choices": [{"text": choice, "calibration_score": asdict(score)} for choice, score in scores.items()],
            "chosen_on": [record.excerpt_id for record in compared_records(task.records)],
        }
        return replace(choices[text], provenance=provenance)


def _explained_apart(parts: Sequence[Candidate]) -> dict[str, Any]:
    """What the parts of a joined text came from, under one key."""
    return {"explain": [part.provenance.get("explain") for part in parts]}


def shares(groups: Sequence[Sequence[ActivationRecord]]) -> list[float]:
    """Each group's share (0..1) of the positive activation of all groups' records."""
    masses = [_mass(group) for group in groups]
    total = sum(masses)
    return [mass / total if total > 0 else 0.0 for mass in masses]


def _mass(group: Sequence[ActivationRecord]) -> float:
    return float(sum(np.maximum(r.activations, 0).sum() for r in group))
