"""Every number that is compared, of one text of one neuron: what scorers say, and what the whole pool says.

Scorers that ask a language model are read by the lexical language here, which makes no mistakes in what it can read:
what they then fail to notice, they cannot notice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.domain.activations import ActivationRecord, FloatArray, SampleKind, Split
from app.domain.executed import FIRING_LEVEL, firing_threshold
from app.domain.methods import MethodDefinition
from benchmarks.truth.pool import Neuron, Pool
from worker.lexical.matching import Block
from worker.lexical.parser import executable
from worker.method.contracts import Candidate, NeuronTask, Services
from worker.method.pipeline import score_candidate
from worker.method.prompts.rendering import shown_window
from worker.method.registry import BuiltMethod, build_method
from worker.scorers.detection import asked_about
from worker.scorers.fuzzing import fuzzed
from worker.scorers.ratings import Rated, judged

BoolArray = NDArray[np.bool_]
EXECUTED = "executed"
WHOLE_CORPUS = "whole_corpus"
SCORE_2023 = "correlation"
F1 = "executed_f1"

METHOD = MethodDefinition(
    name="truth",
    version=1,
    label="Every scorer that needs no language model",
    explainer="lexical",
    simulator="lexical",
    scorers=("correlation", "whole_corpus", "explained_variance", "absolute_deviation"),
)
SCORERS = (
    EXECUTED,
    F1,
    WHOLE_CORPUS,
    "whole_corpus_explained_variance",
    SCORE_2023,
    "explained_variance",
    "absolute_deviation",
    "detection_auc",
    "fuzzing_auc",
)
"""In the order of the table; each is a number that is the higher the better the text."""

Numbers = Mapping[str, float | None]


@dataclass(frozen=True)
class Reader:
    """What the lexical language expects on the tokens of a pool. Made for some neurons at a time: it remembers."""

    pool: Pool

    def __post_init__(self) -> None:
        object.__setattr__(self, "_block", Block(list(self.pool.tokens), self.pool.vocabulary))

    def expected(self, text: str) -> FloatArray | None:
        """Levels 0..10 on every token of the pool, [E, T]; None where nothing can be executed."""
        clauses = executable(text)
        if not clauses:
            return None
        block: Block = object.__getattribute__(self, "_block")
        return block.predict(clauses).reshape(self.pool.tokens.shape)


def built() -> BuiltMethod:
    """The method whose scorers are compared."""
    return build_method(METHOD, Services())


def numbers_of(text: str, neuron: Neuron, task: NeuronTask, reader: Reader, method: BuiltMethod) -> Numbers:
    """The number of every scorer for one text; None where it is undefined."""
    result = score_candidate(method, task, Candidate(text))
    found: dict[str, float | None] = {
        score.scorer: score.value for score in result.scores if score.sample in ("top_and_random", "corpus")
    }
    expected = reader.expected(text)
    real = neuron.activations
    found[EXECUTED] = None if expected is None else pearson_of(real, expected)
    found[F1] = None if expected is None else f1_of(real, expected, neuron.maximum)
    return {**found, **judged_by_reader(text, task)}


def judged_by_reader(text: str, task: NeuronTask) -> Numbers:
    """Detection and fuzzing, where whoever rates reads the text without mistakes."""
    clauses = executable(text)
    items = asked_about(task.records, task.seed)
    expected = _predicted([item.record for item in items], text, task)
    detected = [
        Rated(item.fits, None if levels is None else round(float(levels.max())), "nothing to read")
        for item, levels in zip(items, expected, strict=True)
    ]
    groups = fuzzed(task.records.of(SampleKind.TOP, Split.VALIDATION), task.records.level_10, task.seed)
    marked = [item for group in groups for item in group]
    expected = _predicted([item.record for item in marked], text, task)
    fuzz = []
    for item, levels in zip(marked, expected, strict=True):
        rating = None if levels is None else round(float(levels[shown_window(item.record)][list(item.marks)].mean()))
        fuzz.append(Rated(item.right, rating, "nothing to read"))
    if not clauses:
        return {"detection_auc": None, "fuzzing_auc": None}
    return {
        "detection_auc": judged("detection", "top_and_random", detected)[1].value,
        "fuzzing_auc": judged("fuzzing", "top", fuzz)[1].value,
    }


def _predicted(records: Sequence[ActivationRecord], text: str, task: NeuronTask) -> list[FloatArray | None]:
    clauses = executable(text)
    if not clauses or not records:
        return [None] * len(records)
    levels = Block([record.token_ids for record in records], task.vocabulary).predict(clauses)
    return list(np.split(levels, np.cumsum([len(record.token_ids) for record in records])[:-1]))


def pearson_of(real: FloatArray, expected: FloatArray) -> float | None:
    """Pearson r over all tokens; None where a side is the same everywhere."""
    x, y = real.ravel().astype(np.float64), expected.ravel().astype(np.float64)
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return None if size == 0 else float((x * y).sum() / size)


def f1_of(real: FloatArray, expected: FloatArray, maximum: float) -> float:
    """2 * both / (fires + claimed) over all tokens, by the threshold of executed explanations."""
    fires, claimed = fires_and_claims(real, expected, maximum)
    return 2 * float((fires & claimed).sum()) / max(1.0, float(fires.sum() + claimed.sum()))


def fires_and_claims(real: FloatArray, expected: FloatArray, maximum: float) -> tuple[BoolArray, BoolArray]:
    """On which tokens the neuron fires, and on which the text says so."""
    return real >= np.float32(firing_threshold(maximum)), expected >= FIRING_LEVEL
