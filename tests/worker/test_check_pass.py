"""A check finds exactly what looking at every token finds, in parts and after a stop as in one go."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch

from app.domain.executed import LevelCounts, NeuronTotals, execution
from app.errors import CollectionError
from tests.worker.checking import BYTES, BruteForce, a_check, assert_same_check, brute_force
from tests.worker.collecting import FakeModel, planned
from worker.checks.passes import CheckPass
from worker.checks.state import FALSE_ALARM, MISS, N_KINDS, CheckShape, CheckState, load_check
from worker.collection import exact
from worker.collection.best import ordinals_of
from worker.collection.passes import Part
from worker.collection.plan import Plan
from worker.lexical.matching import Block


def nobody(tokens: int) -> None:
    """For callers who do not look."""


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return planned(tmp_path, 150)


def tallied(state: CheckState, row: int) -> dict[int, int]:
    """The tokens of one row with their counts."""
    keys, counts = state.tallies
    own = (keys // len(BYTES)) == row
    return dict(zip((keys[own] % len(BYTES)).tolist(), counts[own].tolist(), strict=True))


def test_everything_is_what_looking_at_every_token_finds(tmp_path: Path, plan: Plan) -> None:
    model = FakeModel(neurons=9)
    work = a_check(tmp_path, plan, model)
    state = work.run(Part(), tmp_path, nobody)
    sums = exact.total(state.tensors["sums"]).numpy()
    for number, executable in enumerate(work.explanations):
        found = brute_force(work, model, executable)
        assert state.tensors["tokens"][number].tolist() == found.tokens.tolist()
        assert state.tensors["firing"][number].tolist() == found.firing.tolist()
        assert sums[number] == pytest.approx(found.sums, rel=1e-12, abs=1e-9)
        assert int(state.tensors["n_firing"][executable.layer, executable.index]) == found.n_firing
        assert tallied(state, N_KINDS * number + FALSE_ALARM) == dict(found.alarms)
        assert tallied(state, N_KINDS * number + MISS) == dict(found.misses)


def test_the_excerpts_kept_are_those_with_the_widest_gaps(tmp_path: Path, plan: Plan) -> None:
    model = FakeModel(neurons=9)
    work = a_check(tmp_path, plan, model)
    best = work.run(Part(), tmp_path, nobody).best.ordered()
    ordinals = ordinals_of(best.scores).numpy()
    for number, executable in enumerate(work.explanations):
        found = brute_force(work, model, executable)
        for kind, gaps in ((FALSE_ALARM, found.alarm_gaps), (MISS, found.miss_gaps)):
            row = N_KINDS * number + kind
            kept = [o for o in ordinals[row].tolist() if o >= 0]
            assert sorted((gaps[o] for o in kept), reverse=True) == sorted(gaps.values(), reverse=True)[:5]
            for rank, ordinal in enumerate(kept):
                own = model.activations(work.excerpts.tokens(np.array([ordinal])))[executable.layer, 0]
                assert best.values[row, rank].tolist() == own[:, executable.index].astype(np.float16).tolist()
                assert float(best.peaks[row, rank]) in own[:, executable.index].tolist()


def test_the_numbers_are_those_of_whole_arrays(tmp_path: Path, plan: Plan) -> None:
    model = FakeModel(neurons=9)
    work = a_check(tmp_path, plan, model)
    state = work.run(Part(), tmp_path, nobody)
    sums = exact.total(state.tensors["sums"]).numpy()
    rows = work.excerpts.tokens(range(plan.n_excerpts))
    defined = 0
    for number, executable in enumerate(work.explanations):
        real = model.activations(rows)[executable.layer][:, :, executable.index].astype(np.float64).ravel()
        n_firing = int(state.tensors["n_firing"][executable.layer, executable.index])
        counts = LevelCounts(
            state.tensors["tokens"][number].numpy(), state.tensors["firing"][number].numpy(), sums[number]
        )
        found = execution(NeuronTotals(real.size, float(real.mean()), float(real.var()), n_firing), counts)
        expected = expectation(work, number)
        if found.correlation.value is not None:
            defined += 1
            assert found.correlation.value == pytest.approx(np.corrcoef(real, expected)[0, 1], abs=1e-9)
    assert defined > len(work.explanations) / 2


def expectation(work: CheckPass, number: int) -> np.ndarray:
    """What one explanation expects on every token."""
    rows = work.excerpts.tokens(range(work.plan.n_excerpts))
    return Block(list(rows), BYTES).predict(work.explanations[number].clauses)


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_the_size_of_a_batch_changes_nothing(tmp_path: Path, plan: Plan, batch: int) -> None:
    model = FakeModel()
    (tmp_path / "whole").mkdir()
    (tmp_path / "batches").mkdir()
    whole = a_check(tmp_path, plan, model).run(Part(), tmp_path / "whole", nobody)
    assert_same_check(whole, a_check(tmp_path, plan, model, batch).run(Part(), tmp_path / "batches", nobody))


def test_parts_merged_are_the_whole_to_the_last_bit(tmp_path: Path, plan: Plan) -> None:
    model = FakeModel()
    (tmp_path / "whole").mkdir()
    whole = a_check(tmp_path, plan, model).run(Part(), tmp_path / "whole", nobody)
    for order in ((0, 1, 2), (2, 0, 1)):
        parts = [a_check(tmp_path, plan, model).run(Part(number, 3), tmp_path, nobody) for number in order]
        merged = parts[0]
        for part in parts[1:]:
            merged.merge(part)
        assert_same_check(whole, merged)
        for number in order:
            Part(number, 3).file(tmp_path).unlink()


def test_the_same_shard_is_not_merged_twice(tmp_path: Path, plan: Plan) -> None:
    state = a_check(tmp_path, plan, FakeModel()).run(Part(1, 2), tmp_path, nobody)
    with pytest.raises(CollectionError, match="shards"):
        state.merge(state)


class Stopped(Exception):
    """Simulates a kill."""


@pytest.mark.parametrize("after", [1, 40, 100])
def test_a_stopped_check_goes_on_to_the_same_state(tmp_path: Path, plan: Plan, after: int) -> None:
    model = FakeModel()
    (tmp_path / "whole").mkdir()
    whole = a_check(tmp_path, plan, model).run(Part(), tmp_path / "whole", nobody)

    def stop(tokens: int) -> None:
        if tokens >= after * plan.context_length:
            raise Stopped

    with pytest.raises(Stopped):
        a_check(tmp_path, plan, model).run(Part(), tmp_path, stop)
    told: list[int] = []
    assert_same_check(whole, a_check(tmp_path, plan, model).run(Part(), tmp_path, told.append))
    saved = 0 if after == 1 else 16 * plan.context_length
    assert told[0] >= saved


def test_memory_that_runs_out_halves_the_batch_and_changes_nothing(tmp_path: Path, plan: Plan) -> None:
    class Greedy(FakeModel):
        def __call__(self, token_ids, on_layer):  # type: ignore[no-untyped-def]  # as the base class
            if len(token_ids) > 3:
                raise torch.OutOfMemoryError("too much")
            super().__call__(token_ids, on_layer)

    (tmp_path / "whole").mkdir()
    whole = a_check(tmp_path, plan, FakeModel()).run(Part(), tmp_path / "whole", nobody)
    work = a_check(tmp_path, plan, Greedy(), batch=8)
    assert_same_check(whole, work.run(Part(), tmp_path, nobody))
    assert (work.batch.excerpts, work.batch.halved) == (2, 2)


def test_a_full_disk_says_what_to_do_and_keeps_the_old_state(tmp_path: Path, plan: Plan) -> None:
    class Full(io.BytesIO):
        def write(self, data):  # type: ignore[no-untyped-def]  # as the base class
            raise OSError(28, "No space left on device")

    with pytest.raises(CollectionError, match=r"No space left on device\. Make room"):
        a_check(tmp_path, plan, FakeModel()).run(Part(), tmp_path, nobody, lambda file: Full())
    assert not Part().file(tmp_path).exists()


def test_an_activation_that_is_no_number_stops_the_check(tmp_path: Path, plan: Plan) -> None:
    model = FakeModel()
    work = a_check(tmp_path, plan, model)
    model.tables[0, :, 0] = np.nan
    with pytest.raises(CollectionError, match="not a number"):
        work.run(Part(), tmp_path, nobody)


def test_the_state_of_another_check_is_refused(tmp_path: Path, plan: Plan) -> None:
    work = a_check(tmp_path, plan, FakeModel())
    work.run(Part(), tmp_path, nobody)
    shape = work.shape
    other = CheckShape(shape.n_explanations + 1, shape.n_layers, shape.neurons, shape.tokens)
    with pytest.raises(CollectionError, match="no state of this check"):
        load_check(Part().file(tmp_path), other)


def test_more_mistakes_than_a_table_first_holds_are_all_counted(
    tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = FakeModel(neurons=9)
    (tmp_path / "large").mkdir()
    large = a_check(tmp_path, plan, model).run(Part(), tmp_path / "large", nobody)
    monkeypatch.setattr("worker.checks.checker._SMALLEST_TALLY", 2)
    assert_same_check(large, a_check(tmp_path, plan, model).run(Part(), tmp_path, nobody))
    assert len(large.tallies[0]) > 200


def test_brute_force_sees_mistakes_of_both_kinds(tmp_path: Path, plan: Plan) -> None:
    """Else the comparisons above would compare nothing with nothing."""
    model = FakeModel(neurons=9)
    work = a_check(tmp_path, plan, model)
    found: list[BruteForce] = [brute_force(work, model, e) for e in work.explanations]
    assert sum(bool(f.alarms) for f in found) > 5
    assert sum(bool(f.misses) for f in found) > 5
