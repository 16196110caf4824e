"""One neuron through the queue, the worker and the store, with a score of each text by each of two simulators.

Two methods with a simulator each run on it once and find two texts each; every text is then scored twice by either
simulator. Both simulators draw noise, so that all numbers differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import Sessions
from app.domain.activations import SampleKind
from app.domain.arrays import Int32s
from app.domain.methods import MethodDefinition
from app.domain.results import ExplanationResult, SimulatedExcerpt
from app.domain.standing import SCORE_2023
from app.domain.tokens import Vocabulary
from app.models import Explanation, Method, Neuron, Score
from app.work.enqueue import enqueue_batch, enqueue_scoring
from tests.factories import Make
from tests.worker.looping import work_off
from worker.method.contracts import Candidate, NeuronTask, Simulator
from worker.method.pipeline import Report, run_method
from worker.method.registry import BuiltMethod
from worker.run.runs import Work
from worker.scorers.correlation import CorrelationScorer
from worker.simulators.calibration import linear_calibration

IMPORT = 4
FIRST, SECOND = "sharp", "blunt+linear"
"""The simulators, as scores name them."""


@dataclass
class Noisy:
    """A simulator that expects 10 on the token " import", with noise that is drawn anew each time."""

    name: str
    noise: float
    version: int = 1
    drawn: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def simulate(
        self, text: str, excerpts: Sequence[tuple[int, Int32s]], vocabulary: Vocabulary
    ) -> tuple[SimulatedExcerpt, ...]:
        """More noise for a text that is "lucky", so that the two texts of a run differ."""
        noise = self.noise / (1 + text.startswith("lucky"))
        return tuple(
            SimulatedExcerpt(
                excerpt_id,
                len(ids),
                (10 * (ids == IMPORT) + self.drawn.normal(0, noise, len(ids))).astype(np.float32),
            )
            for excerpt_id, ids in excerpts
        )


@dataclass
class TwoTexts:
    """An explainer that prefers its first text; the second one scores higher."""

    name: str
    version: int = 1

    def explain(self, task: NeuronTask) -> tuple[Candidate, ...]:
        """Two texts that name their method."""
        shown = {"train": tuple(record.excerpt_id for record in task.train[:5])}
        return tuple(Candidate(f"{word} text of {self.name}", shown=shown) for word in ("preferred", "lucky"))


@dataclass
class Story:
    """The neuron, the two methods, the explanations in the order of their making."""

    session: Session
    neuron: Neuron
    methods: tuple[Method, Method]
    explanations: list[Explanation]

    def score(self, explanation: Explanation, simulator: str) -> Score:
        """The newest 2023 score of an explanation by a simulator, read from the table itself."""
        return self.session.scalars(
            select(Score)
            .where(Score.explanation_id == explanation.id, Score.simulator == simulator)
            .where(Score.scorer == SCORE_2023.scorer, Score.sample == SCORE_2023.sample)
            .order_by(Score.id.desc())
            .limit(1)
        ).one()

    @property
    def standing(self) -> dict[int, Score]:
        """The score that represents each explanation: by its own method's simulator, the newest."""
        simulators = (FIRST, FIRST, SECOND, SECOND)
        return {e.id: self.score(e, s) for e, s in zip(self.explanations, simulators, strict=True)}

    @property
    def current(self) -> Explanation:
        """What the neuron shows first: the preferred text of the newer method."""
        return self.explanations[2]


def scored_neuron(session: Session, sessions: Sessions, make: Make) -> Story:
    """Make the neuron: queue, run and score it."""
    subject = make.subject()
    neuron, peer = make.neuron(subject, index=1), make.neuron(subject, index=2)
    drawn = np.random.default_rng(0)
    for made in (neuron, peer):
        for kind in (SampleKind.TOP, SampleKind.RANDOM):
            tokens = drawn.integers(0, 10, (20, 6))
            tokens[:, 2] = IMPORT
            rows = np.where(tokens == IMPORT, drawn.uniform(1, 4, tokens.shape), drawn.normal(0, 0.2, tokens.shape))
            make.sample(made, subject, kind, rows.tolist(), tokens.tolist())
    methods = make.method("one"), make.method("two")
    methods[0].simulator, methods[1].simulator = "sharp", "blunt"
    methods[1].parameters = {"calibration": "linear"}
    session.commit()
    simulators: Mapping[str, Simulator] = {"one": Noisy("sharp", 1.0), "two": linear_calibration(Noisy("blunt", 6.0))}

    def build(definition: MethodDefinition) -> Work:
        catalogued = replace(definition, explainer="lexical", simulator="lexical", parameters={})
        explainer, simulator = TwoTexts(definition.name), simulators[definition.name]
        built = BuiltMethod(catalogued, explainer, simulator, (CorrelationScorer(),))

        def work(task: NeuronTask, report: Report) -> tuple[ExplanationResult, ...]:
            return run_method(built, task, report)

        return work

    for method in methods:
        enqueue_batch(session, subject_id=subject.id, neuron_ids=[neuron.id], method_id=method.id, account_id=None)
        session.commit()
        work_off(sessions, build)
    explanations = list(session.scalars(select(Explanation).order_by(Explanation.id)))
    for _ in range(2):
        for explanation in explanations:
            for method in methods:
                enqueue_scoring(session, explanation_id=explanation.id, method_id=method.id, account_id=None)
                session.commit()
                work_off(sessions, build)
    session.expire_all()
    return Story(session, neuron, methods, explanations)
