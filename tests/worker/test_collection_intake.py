"""The two forms of taking activations in say the same, and refuse the same."""

import math

import numpy as np
import pytest
import torch

from app.domain.arrays import Int32s
from app.errors import CollectionError
from tests.worker.collecting import CPU, assert_equal
from worker.collection.bounds import Pilot, stacked
from worker.collection.intake import Intake, TensorIntake
from worker.collection.kernels import TILE
from worker.collection.pool_kernels import half
from worker.collection.processor_intake import ProcessorIntake
from worker.collection.reducer import Reducer
from worker.collection.sampling import Excerpted, Sampling
from worker.collection.state import POOLS, Shape, State
from worker.collection.token_sums import TokenRows

TOKENS = 7  # no multiple of four
NEURONS = TILE + 33
BATCH = 6


def some_activations(n_excerpts: int) -> torch.Tensor:
    """Values of one decimal, so that many peaks are equal; a neuron that never moves, one far from zero."""
    values = np.random.default_rng(0).standard_normal((n_excerpts, TOKENS, NEURONS)).round(1)
    values[:, :, 0], values[:, :, 1] = 0, values[:, :, 1] + 1000
    return torch.from_numpy(values.astype(np.float32))


def some_tokens(n_excerpts: int) -> Int32s:
    """Token ids of a vocabulary so small that texts and tokens recur; token 0 is far more frequent than int32 bears."""
    return np.random.default_rng(1).integers(0, 3, (n_excerpts, TOKENS)).astype(np.int32)


ROWS = TokenRows(np.array([0, 1, 2], np.int32), np.array([0, 1], np.int32), np.array([1, 1]), n_others=1)
"""Token 2 has no row."""


def taken_in(values: torch.Tensor, intake: Intake) -> State:
    """The state after all excerpts, batch by batch, as one shard."""
    pilot = Pilot()
    pilot.add(values[:BATCH].contiguous())
    sampling, tokens = Sampling(5, len(values), 3), some_tokens(len(values))
    state = State.empty(Shape(1, NEURONS, TOKENS, ROWS.n_rows), CPU)
    reducer = Reducer(state, stacked([pilot.bounds()]), sampling, intake)
    reducer.begin()
    for first in range(0, len(values), BATCH):
        part = slice(first, first + BATCH)
        ordinals = np.arange(first, first + len(values[part]))
        reducer.add(Excerpted.of(ordinals, sampling, CPU).reading(tokens[part], ROWS), 0, values[part])
    reducer.end(0, len(values), 0)
    reducer.settle()
    return state


def assert_alike(left: State, right: State) -> None:
    """The same excerpts, values, counts and token sums; power sums are compared elsewhere."""
    for name in ("minimum", "maximum", "positive", "peak_counts", "histogram", "token_sums"):
        assert torch.equal(left.tensors[name], right.tensors[name]), name
    for pool in POOLS:
        mine, theirs = left.best(pool).ordered(), right.best(pool).ordered()
        for name in ("scores", "peaks", "values", "bar", "texts"):
            assert_equal(getattr(mine, name), getattr(theirs, name))


def test_compiled_loops_and_tensor_operations_keep_the_same() -> None:
    values = some_activations(100)
    compiled, plain = taken_in(values, ProcessorIntake()), taken_in(values, TensorIntake())
    assert_alike(compiled, plain)
    assert int(compiled.tensors["positive"].sum()) == int((values > 0).sum())


def test_sums_of_a_token_are_those_of_numpy_and_carried_before_they_overflow() -> None:
    values = some_activations(700)  # 4,900 tokens of three kinds: more than an int32 may add up
    state, tokens = taken_in(values, ProcessorIntake()), some_tokens(700)
    pilot = Pilot()
    pilot.add(values[:BATCH])
    bounds = pilot.bounds()
    units = np.rint((values - bounds.centre).numpy() * bounds.per_unit.numpy()).astype(np.int64)
    for token in range(3):
        expected = units[tokens == token].sum(axis=0)
        np.testing.assert_array_equal(state.tensors["token_sums"][0, token].numpy(), expected)
    assert (tokens == 0).sum() > 2**31 // 2**20 / 2


def test_power_sums_are_those_of_numpy() -> None:
    values = some_activations(100)
    pilot = Pilot()
    pilot.add(values[:BATCH])
    distances = values.double().numpy() - pilot.bounds().centre.double().numpy()
    for intake in (ProcessorIntake(), TensorIntake()):
        sampling = Sampling(5, len(values), 3)
        state = State.empty(Shape(1, NEURONS, TOKENS, ROWS.n_rows), CPU)
        reducer = Reducer(state, stacked([pilot.bounds()]), sampling, intake)
        reducer.begin()
        excerpts = Excerpted.of(np.arange(len(values)), sampling, CPU)
        reducer.add(excerpts.reading(some_tokens(len(values)), ROWS), 0, values)
        sums = reducer.shard_sums[0].numpy()
        for power in range(4):
            expected = (distances ** (power + 1)).sum(axis=(0, 1))
            size = (np.abs(distances) ** (power + 1)).sum(axis=(0, 1))
            np.testing.assert_allclose(sums[power], expected, rtol=0, atol=2e-6 * float(size.max()))


def test_a_view_without_its_first_token_is_read_as_it_lies() -> None:
    values = some_activations(40)
    with_bos = torch.cat([torch.full((40, 1, NEURONS), 99.0), values], dim=1)
    assert_alike(taken_in(with_bos[:, 1:], ProcessorIntake()), taken_in(values, ProcessorIntake()))


def test_other_layouts_and_half_precision_are_converted() -> None:
    values = some_activations(40)
    turned = values.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    assert turned.stride(2) != 1
    assert_alike(taken_in(turned, ProcessorIntake()), taken_in(values, ProcessorIntake()))
    rough = values.to(torch.bfloat16)
    assert_alike(taken_in(rough, ProcessorIntake()), taken_in(rough.float(), ProcessorIntake()))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("form", [ProcessorIntake, TensorIntake])
def test_a_number_that_is_none_is_refused(form: type[Intake], bad: float) -> None:
    values = some_activations(20)
    values[13, TOKENS - 1, NEURONS - 1] = bad
    with pytest.raises(CollectionError, match="not finite"):
        taken_in(values, form())


def test_half_precision_is_rounded_as_numpy_rounds_it() -> None:
    generator = np.random.default_rng(0)
    every = np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float32)
    every = every[np.isfinite(every)]
    middles = ((every[:-1] + every[1:]) / 2).astype(np.float32)
    any_bits = generator.integers(0, 2**32, 20_000, dtype=np.uint32).view(np.float32)
    small = (generator.standard_normal(20_000) * 1e-5).astype(np.float32)
    values = np.concatenate([every, middles, any_bits, small, np.array([np.inf, -np.inf, np.nan], np.float32)])
    bits = np.array([half(value) for value in values], np.uint16)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = values.astype(np.float16)
    np.testing.assert_array_equal(bits.view(np.float16), expected)
