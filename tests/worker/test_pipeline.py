"""One neuron through a method: what is stored, a score's baselines, the separation of splits."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind, Split
from app.domain.arrays import Int32s
from app.domain.methods import LEXICAL
from app.domain.results import ScoreResult, SimulatedExcerpt
from app.domain.scores import correlation_with_interval
from app.domain.steps.spec import Records
from app.domain.token_table import TokenTable
from app.domain.tokens import Vocabulary
from app.errors import MethodError
from worker.method.baselines import token_lookup
from worker.method.contracts import Candidate, CannotSimulate, NeuronTask, ScoredExcerpt, Services
from worker.method.pipeline import run_method
from worker.method.registry import BuiltMethod, build_method
from worker.scorers.correlation import CorrelationScorer
from worker.scorers.samples import SampleScorer

VOCABULARY = Vocabulary("letters", (b" a", b" b", b" c", b" d"))
RANDOM, TOP = SampleKind.RANDOM, SampleKind.TOP


def record(number: int, seed: int, driver: int = 0) -> ActivationRecord:
    """A random excerpt on which the neuron fires at the driver's position."""
    ids = np.random.default_rng(seed).integers(0, 4, 12).astype(np.int32)
    ids[:2] = driver, (driver + 1) % 4
    return ActivationRecord(number, ids, np.where(ids == driver, 4, -0.1).astype(np.float32))


def records(driver: int = 0, first: int = 1) -> NeuronRecords:
    top = tuple(record(first + i, i, driver) for i in range(20))
    random = tuple(record(first + 100 + i, 100 + i, driver) for i in range(20))
    return NeuronRecords({TOP: top, RANDOM: random}, maximum=4.0)


def task(**changes: Any) -> NeuronTask:
    made = NeuronTask(7, "tiny", 0, 3, records(), VOCABULARY, records(driver=1, first=1000), seed=5, collection_id=9)
    return replace(made, **changes)


class Texts:
    """An explainer with given texts that remembers what it was shown."""

    name = "texts"
    version = 2

    def __init__(self, *texts: str) -> None:
        self.texts = texts
        self.seen: list[NeuronTask] = []

    def explain(self, task: NeuronTask) -> tuple[Candidate, ...]:
        self.seen.append(task)
        shown = {"train": tuple(record.excerpt_id for record in task.train[::2])[:2]}
        return tuple(Candidate(text, {"place": place}, shown=shown) for place, text in enumerate(self.texts))


class Reading:
    """A simulator that expects 10 on the token id that the text is; it cannot read "nothing"."""

    name = "reading"
    version = 3

    def __init__(self, fails: Sequence[int] = ()) -> None:
        self.fails = fails

    def simulate(
        self, text: str, excerpts: Sequence[tuple[int, Int32s]], vocabulary: Vocabulary
    ) -> tuple[SimulatedExcerpt, ...]:
        if text == "nothing":
            raise CannotSimulate("there is nothing to read")
        return tuple(self._one(int(text), number, ids) for number, ids in excerpts)

    def _one(self, token_id: int, number: int, ids: Int32s) -> SimulatedExcerpt:
        if number in self.fails:
            return SimulatedExcerpt(number, len(ids), expected=None, failure="refused")
        return SimulatedExcerpt(number, len(ids), np.where(ids == token_id, 10, 0).astype(np.float32))


class Doubled(Reading):
    """Calibration that doubles, so that its values differ from those of the simulator it wraps."""

    inner = Reading()

    def fitted(self, text: str, task: NeuronTask) -> "Doubled":
        return self

    def _one(self, token_id: int, number: int, ids: Int32s) -> SimulatedExcerpt:
        return SimulatedExcerpt(number, len(ids), np.where(ids == token_id, 20, 0).astype(np.float32))


def method(explainer: Texts, simulator: Reading | None = None) -> BuiltMethod:
    return BuiltMethod(LEXICAL, explainer, simulator or Reading(), (CorrelationScorer(),))


def silently(stage: str, share: float) -> None:
    """A report that is ignored."""


def test_all_candidates_are_kept_each_with_its_own_scores() -> None:
    first, second = run_method(method(Texts("0", "1")), task(), silently)
    assert (first.text, second.text) == ("0", "1")
    assert first.scores[0].value == pytest.approx(1.0)
    assert second.scores[0].value is not None
    assert second.scores[0].value < 0.5
    named = [(s.scorer, s.sample) for s in first.scores]
    assert named == [
        ("correlation", "top_and_random"),
        ("correlation", "random"),
        ("correlation_margin", "top_and_random"),
    ]


def test_the_margin_over_the_token_table_has_an_interval_of_its_own() -> None:
    right, wrong = run_method(method(Texts("0", "1")), task(), silently)
    for result in (right, wrong):
        score, _, margin = result.scores
        assert score.value is not None
        assert score.token_lookup_baseline is not None
        assert margin.value == pytest.approx(score.value - score.token_lookup_baseline)
        assert margin.simulator == score.simulator
        assert (margin.n_valid, margin.n_failed) == (10, 0)
        assert margin.interval is not None
        assert margin.interval[0] <= score.value - score.token_lookup_baseline <= margin.interval[1]
    assert wrong.scores[2].interval is not None
    assert wrong.scores[2].interval[1] < 0


def test_simulations_of_the_validation_split_are_stored_by_sample() -> None:
    (result,) = run_method(method(Texts("0")), task(), silently)
    assert [(s.simulator, s.kind, s.split) for s in result.simulations] == [
        ("reading", TOP, Split.VALIDATION),
        ("reading", RANDOM, Split.VALIDATION),
    ]
    assert [e.excerpt_id for e in result.simulations[0].excerpts] == [3, 7, 11, 15, 19]
    assert [e.excerpt_id for e in result.simulations[1].excerpts] == [102, 105, 108, 111, 114]


class Few(SampleScorer):
    """A scorer that looks at the last two top validation records and nothing else."""

    name = "few"
    version = 1
    formulas = ((name, correlation_with_interval),)

    def __init__(self) -> None:
        super().__init__(("top",))
        self.seen: list[list[int]] = []

    def simulated(self, records: NeuronRecords) -> Records:
        return {TOP: records.of(TOP, Split.VALIDATION)[-2:]}

    def score(self, excerpts: Sequence[ScoredExcerpt], *, seed: int) -> tuple[ScoreResult, ...]:
        self.seen.append([e.record.excerpt_id for e in excerpts])
        return super().score(excerpts, seed=seed)


def test_each_scorer_sees_the_records_that_it_asks_for_and_each_is_simulated_once() -> None:
    few = Few()
    built = BuiltMethod(LEXICAL, Texts("0"), Reading(), (few, CorrelationScorer()))
    (result,) = run_method(built, task(), silently)
    assert few.seen[-1] == [15, 19]
    assert sorted(map(len, few.seen)) == [2, 2, 2]  # the score and its two baselines
    assert [e.excerpt_id for e in result.simulations[0].excerpts] == [15, 19, 3, 7, 11]
    assert {s.scorer: s.n_valid for s in result.scores if s.sample != "random"} == {
        "few": 2,
        "correlation": 10,
        "correlation_margin": 10,
    }


def test_a_score_has_its_baselines() -> None:
    (result,) = run_method(method(Texts("0")), task(), silently)
    headline = result.scores[0]
    assert headline.token_lookup_baseline == pytest.approx(1.0)
    assert headline.shuffled_baseline is not None
    assert headline.shuffled_baseline < 0.2


def test_the_shuffled_baseline_is_this_text_on_another_neuron() -> None:
    (result,) = run_method(method(Texts("1")), task(), silently)  # the other neuron fires on token 1
    headline = result.scores[0]
    assert headline.value is not None
    assert headline.value < 0.2
    assert headline.shuffled_baseline == pytest.approx(1.0)


def test_without_a_peer_there_is_no_shuffled_baseline() -> None:
    (result,) = run_method(method(Texts("0")), task(peer=None), silently)
    assert result.scores[0].shuffled_baseline is None


def test_a_failed_excerpt_is_counted_and_left_out() -> None:
    (result,) = run_method(method(Texts("0"), Reading(fails=[3])), task(), silently)
    headline = result.scores[0]
    assert (headline.n_valid, headline.n_failed) == (9, 1)
    assert headline.value == pytest.approx(1.0)


def test_a_text_that_cannot_be_simulated_is_kept_without_a_number() -> None:
    _, unreadable = run_method(method(Texts("0", "nothing")), task(), silently)
    assert unreadable.text == "nothing"
    assert unreadable.scores[0].value is None
    assert "there is nothing to read" in str(unreadable.scores[0].undefined_reason)
    assert {e.failure for s in unreadable.simulations for e in s.excerpts} == {"there is nothing to read"}


def test_the_explainer_is_handed_nothing_that_scores_it() -> None:
    explainer = Texts("0")
    run_method(method(explainer), task(), silently)
    (seen,) = explainer.seen
    assert seen.peer is None
    for kind in (TOP, RANDOM):
        assert {r.excerpt_id for r in seen.records.of(kind)} == {
            r.excerpt_id for split in (Split.TRAIN, Split.CALIBRATION) for r in records().of(kind, split)
        }
    assert [r.excerpt_id for r in seen.train] == [1, 5, 9, 13, 17]


def test_a_simulator_with_a_calibration_is_fitted_first() -> None:
    (result,) = run_method(method(Texts("0"), Doubled()), task(), silently)
    assert max(float(np.max(e.expected)) for e in result.simulations[0].excerpts if e.expected is not None) == 20


def test_a_result_has_its_whole_provenance() -> None:
    (result,) = run_method(method(Texts("0")), task(), silently)
    told: Mapping[str, Any] = result.provenance
    assert told["place"] == 0
    assert told["explainer"] == {"name": "texts", "version": 2}
    assert told["simulator"] == {"name": "reading", "version": 3}
    assert (told["seed"], told["collection_id"], told["tokenizer_digest"]) == (5, 9, "letters")
    assert told["shown"] == {"train": [1, 9]}
    assert told["scored"]["random"] == [102, 105, 108, 111, 114]
    assert told["code_version"]


def test_progress_is_reported_from_the_first_step_to_the_last() -> None:
    told: list[tuple[str, float]] = []
    run_method(method(Texts("0", "1")), task(), lambda stage, share: told.append((stage, share)))
    assert [stage for stage, _ in told] == ["explain", "simulate and score", "simulate and score", "done"]
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1


@pytest.mark.parametrize("activation", [0.0, -0.1])
def test_a_neuron_that_never_fires_fails_with_its_cause(activation: float) -> None:
    rows = tuple(replace(r, activations=np.full(12, activation, dtype=np.float32)) for r in records().of(TOP))
    with pytest.raises(MethodError, match="never fires on this corpus"):
        run_method(method(Texts("0")), task(records=NeuronRecords({TOP: rows}, activation)), silently)


def test_a_given_text_is_the_only_candidate_and_nothing_is_explained() -> None:
    explainer = Texts("1")
    told: list[str] = []
    (result,) = run_method(method(explainer), task(text="0"), lambda stage, _share: told.append(stage))
    assert (result.text, explainer.seen) == ("0", [])
    assert result.scores[0].value == pytest.approx(1.0)
    assert told == ["simulate and score", "done"]


def test_a_given_text_that_cannot_be_simulated_fails_with_its_cause() -> None:
    with pytest.raises(MethodError, match="there is nothing to read"):
        run_method(method(Texts("1")), task(text="nothing"), silently)


def test_a_neuron_all_of_whose_top_excerpts_are_held_out_fails_with_its_cause() -> None:
    own = records()
    splits = {TOP: (Split.VALIDATION,) * 20, RANDOM: (Split.CALIBRATION,) * 20}
    with pytest.raises(MethodError, match="a copy of one that is held out"):
        run_method(method(Texts("0")), task(records=replace(own, given_splits=splits)), silently)


def test_a_neuron_without_records_fails_with_its_cause() -> None:
    with pytest.raises(MethodError, match="collect it first"):
        run_method(method(Texts("0")), task(records=NeuronRecords({}, 4.0)), silently)


def test_without_a_collections_table_the_baseline_is_fitted_on_train_records() -> None:
    ids = np.array([0, 0, 1, 2, 2], dtype=np.int32)
    train = ActivationRecord(1, ids, np.array([4, 2, 0, -1, -1], dtype=np.float32))
    unseen = ActivationRecord(2, np.array([3, 2, 0], dtype=np.int32), np.zeros(3, dtype=np.float32))
    (answer,) = token_lookup(NeuronRecords({TOP: (train,)}, 4.0), [unseen])
    assert answer.expected is not None
    assert answer.expected.tolist() == [0, -1, 3]
    (missing,) = token_lookup(NeuronRecords({}, 4.0), [unseen])
    assert missing.failure == "the neuron has no train records"


def test_the_baseline_is_the_corpus_table_without_what_is_held_out() -> None:
    own = records()
    held = own.held_out()
    tokens = np.concatenate([r.token_ids for r in held])
    # A corpus of the held-out excerpts and 1,000 tokens more, on each of which the neuron is at 1.
    counts = np.array([int((tokens == i).sum()) + 250 for i in range(4)])
    sums = np.array([sum(float(r.activations[r.token_ids == i].sum()) for r in held) + 250 for i in range(4)])
    table = TokenTable.of_corpus(
        np.arange(4, dtype=np.int32),
        sums / counts,
        counts,
        mean=float(sums.sum() / counts.sum()),
        n_tokens=int(counts.sum()),
    )
    explainer = Texts("0")
    run_method(method(explainer), task(records=replace(own, tokens=table)), silently)
    (seen,) = explainer.seen
    assert seen.tokens is not None
    np.testing.assert_allclose(seen.tokens.means, 1.0, rtol=1e-3)
    (answer,) = token_lookup(replace(own, tokens=table), held[:1])
    assert answer.expected is not None
    np.testing.assert_allclose(answer.expected, 1.0, rtol=1e-3)


def test_the_lexical_method_goes_the_whole_way() -> None:
    (result,) = run_method(build_method(LEXICAL, Services()), task(), silently)
    assert result.text == 'fires on " a"'
    assert result.scores[0].value == pytest.approx(1.0)
    assert result.scores[0].interval == pytest.approx((1.0, 1.0))
