"""Every number that is compared, of one text of one neuron: what scorers say, and what the whole pool says.

Scorers that ask a language model are given the lexical language's reading of the text here, which makes no mistakes in
what it can read: what they then do not notice, they cannot notice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.domain.activations import ActivationRecord, SampleKind, Split
from app.domain.arrays import Bools, Float32s
from app.domain.doubt_rules import Facts, doubts
from app.domain.executed import CORPUS, FIRING_LEVEL, firing_threshold
from app.domain.methods import MethodDefinition
from app.domain.results import ExplanationResult, ScoreResult
from app.queries.doubts.scored import DoubtedScore, DoubtedText, score_facts
from benchmarks.truth.pool import Neuron, Pool, PoolSubject
from worker.lexical.matching import Block
from worker.lexical.parser import executable
from worker.method.contracts import Candidate, NeuronTask, Services
from worker.method.pipeline import score_candidate
from worker.method.prompts.rendering import shown_window
from worker.method.registry import BuiltMethod, build_method
from worker.scorers.detection import asked_about
from worker.scorers.found_texts import FoundTextsScorer
from worker.scorers.fuzzing import fuzzed
from worker.scorers.ratings import Rated, judged
from worker.simulators.lexical import LexicalSimulator

EXECUTED = "executed"
WHOLE_CORPUS = "whole_corpus"
SCORE_2023 = "correlation"
F1 = "executed_f1"
NEIGHBOURS, FOUND_TEXTS = "neighbours", "found_texts"
DOUBTS, DOUBTS_ESTIMATED = "doubts", "doubts_estimated"
"""The number of doubts that are raised where the text was executed over the whole corpus, and where it was not."""

METHOD = MethodDefinition(
    name="truth",
    version=1,
    label="Every scorer that needs no language model",
    explainer="lexical",
    simulator="lexical",
    scorers=("correlation", "whole_corpus", "explained_variance", "absolute_deviation", "neighbours"),
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
    NEIGHBOURS,
    FOUND_TEXTS,
)
"""In the order of the table; each is a number that is the higher the better the text."""

Numbers = Mapping[str, float | None]


@dataclass(frozen=True)
class Reader:
    """What the lexical language expects on the tokens of a pool. Made for some neurons at a time: it remembers."""

    pool: Pool

    def __post_init__(self) -> None:
        object.__setattr__(self, "_block", Block(list(self.pool.tokens), self.pool.vocabulary))

    def expected(self, text: str) -> Float32s | None:
        """Levels 0..10 on every token of the pool, [E, T]; None where nothing can be executed."""
        clauses = executable(text)
        if not clauses:
            return None
        block: Block = object.__getattribute__(self, "_block")
        return block.predict(clauses).reshape(self.pool.tokens.shape)


def built() -> BuiltMethod:
    """The method whose scorers are compared."""
    return build_method(METHOD, Services())


_MEASURED_ON = ("top_and_random", "corpus", "top")


def numbers_of(text: str, neuron: Neuron, task: NeuronTask, reader: Reader, method: BuiltMethod) -> Numbers:
    """The number of every scorer for one text, None where it is undefined, and how many doubts are raised."""
    result = score_candidate(method, task, Candidate(text))
    found: dict[str, float | None] = {
        score.scorer: score.value for score in result.scores if score.sample in _MEASURED_ON
    }
    expected = reader.expected(text)
    real = neuron.activations
    found[EXECUTED] = None if expected is None else pearson_of(real, expected)
    found[F1] = None if expected is None else f1_of(real, expected, neuron.maximum)
    finding = FoundTextsScorer(LexicalSimulator(), PoolSubject(reader.pool, neuron), {})
    found[FOUND_TEXTS] = finding.score_text(text, task, ())[0].value
    executed = [] if expected is None else [_executed(neuron, reader.pool, expected)]
    found[DOUBTS], found[DOUBTS_ESTIMATED] = _n_doubts(result, executed), _n_doubts(result, [])
    return {**found, **judged_by_reader(text, task)}


def _executed(neuron: Neuron, pool: Pool, expected: Float32s) -> DoubtedScore:
    """The score over the whole pool with both sides, as a check of a corpus stores it."""
    real = neuron.activations
    fires, claimed = fires_and_claims(real, expected, neuron.maximum)
    both, value = float((fires & claimed).sum()), pearson_of(real, expected)
    return replace(
        _doubted(ScoreResult(EXECUTED, CORPUS, value, real.size, 0, None if value is not None else "it is constant")),
        simulator="lexical",
        token_lookup_baseline=pearson_of(real, neuron.table.expected(pool.tokens)),
        precision=both / float(claimed.sum()) if claimed.any() else None,
        recall=both / float(fires.sum()) if fires.any() else None,
    )


def _doubted(score: ScoreResult) -> DoubtedScore:
    return DoubtedScore(
        explanation_id=0,
        scorer=score.scorer,
        sample=score.sample,
        simulator=score.simulator,
        run_id=0,
        collection_id=0,
        value=score.value,
        undefined_reason=score.undefined_reason,
        interval_low=None if score.interval is None else score.interval[0],
        interval_high=None if score.interval is None else score.interval[1],
        n_valid=score.n_valid,
        n_failed=score.n_failed,
        token_lookup_baseline=score.token_lookup_baseline,
        shuffled_baseline=score.shuffled_baseline,
        chance=score.chance,
        precision=None,
        recall=None,
    )


def _n_doubts(result: ExplanationResult, executed: Sequence[DoubtedScore]) -> float:
    """The doubts that follow from scores and text. Those about a neuron's evidence are the same for all its texts."""
    text = DoubtedText(0, 0, result.text, rank=0, method_id=0, collection_id=0, is_imported=False)
    scores = [*map(_doubted, result.scores), *executed]
    facts = score_facts(text, [text], {0: scores}, lambda _score, _kind, _simulator: None)
    return float(len(doubts(Facts(text=result.text, scores=facts))))


def judged_by_reader(text: str, task: NeuronTask) -> Numbers:
    """Detection and fuzzing, with a rater that applies the text without mistakes."""
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


def _predicted(records: Sequence[ActivationRecord], text: str, task: NeuronTask) -> list[Float32s | None]:
    clauses = executable(text)
    if not clauses or not records:
        return [None] * len(records)
    levels = Block([record.token_ids for record in records], task.vocabulary).predict(clauses)
    return list(np.split(levels, np.cumsum([len(record.token_ids) for record in records])[:-1]))


def pearson_of(real: Float32s, expected: Float32s) -> float | None:
    """Pearson r over all tokens; None where a side is the same everywhere."""
    x, y = real.ravel().astype(np.float64), expected.ravel().astype(np.float64)
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return None if size == 0 else float((x * y).sum() / size)


def f1_of(real: Float32s, expected: Float32s, maximum: float) -> float:
    """2 * both / (fires + claimed) over all tokens, by the threshold of executed explanations."""
    fires, claimed = fires_and_claims(real, expected, maximum)
    return 2 * float((fires & claimed).sum()) / max(1.0, float(fires.sum() + claimed.sum()))


def fires_and_claims(real: Float32s, expected: Float32s, maximum: float) -> tuple[Bools, Bools]:
    """On which tokens the neuron fires, and on which the text says so."""
    return real >= np.float32(firing_threshold(maximum)), expected >= FIRING_LEVEL
