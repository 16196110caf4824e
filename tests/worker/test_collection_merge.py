"""The laws of merging: associative, commutative, and exact to the last bit."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from app.errors import CollectionError
from tests.worker.collecting import CPU, assert_same
from worker.collection import exact
from worker.collection.best import Batch, Best, ordinals_of, score, sortable, upper
from worker.collection.bounds import Pilot, stacked
from worker.collection.chance import hash32, hash64, lowest, priorities
from worker.collection.reducer import Reducer
from worker.collection.sampling import Excerpted, Sampling
from worker.collection.state import Shape, State
from worker.collection.token_sums import TokenRows

NUMBERS = st.floats(-1e40, 1e40, allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-30)


def summed(numbers: list[float]) -> torch.Tensor:
    limbs = exact.zeros((1,), CPU)
    for number in numbers:
        exact.add(limbs, torch.tensor([number], dtype=torch.float64))
    return limbs


@given(st.lists(NUMBERS, max_size=12), st.randoms())
def test_a_sum_does_not_depend_on_order_or_grouping(numbers: list[float], random: object) -> None:
    shuffled = sorted(numbers, key=lambda x: hash((x, id(random))))
    middle = len(shuffled) // 2
    parts = summed(shuffled[:middle]) + summed(shuffled[middle:])
    assert torch.equal(parts, summed(numbers))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_a_sum_is_the_exact_one_to_a_unit_in_the_last_place(numbers: list[float]) -> None:
    numbers = [math.ldexp(round(math.ldexp(x, 80)), -80) for x in numbers]  # nothing below the last limb
    expected = float(sum(Fraction(x) for x in numbers))
    assert float(exact.total(summed(numbers))[0]) == pytest.approx(expected, rel=1e-15, abs=1e-25)


def test_what_is_not_finite_is_not_summed() -> None:
    for number in (math.nan, math.inf, 2.0**160):
        with pytest.raises(CollectionError):
            summed([number])


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=2, max_size=20))
def test_bit_patterns_have_the_order_of_numbers(numbers: list[float]) -> None:
    values = np.array(numbers, dtype=np.float32)
    keys = sortable(torch.from_numpy(values)).numpy()
    for i in range(len(values) - 1):
        assert (values[i] < values[i + 1]) == (keys[i] < keys[i + 1])
        assert (values[i] == values[i + 1]) == (keys[i] == keys[i + 1])


@given(st.integers(-(2**31) + 1, 2**31 - 1), st.integers(0, 2**32 - 1))
def test_a_score_holds_its_key_and_its_excerpt(key: int, ordinal: int) -> None:
    scores = score(torch.tensor([key], dtype=torch.int32), torch.tensor([ordinal]))
    assert (int(upper(scores)[0]), int(ordinals_of(scores)[0])) == (key, ordinal)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=40), st.integers(1, 7))
def test_the_best_are_those_of_a_sorted_list(keys: list[tuple[int, int]], batch: int) -> None:
    best = Best.empty(2, 3, 1, CPU)
    numbers = torch.tensor(keys, dtype=torch.int32)
    for first in range(0, len(keys), batch):
        part = numbers[first : first + batch]
        ordinals = torch.arange(first, first + len(part))
        best.add(part, Batch(ordinals, part.float(), part.float()[:, None]))
    for row in range(2):
        expected = sorted(range(len(keys)), key=lambda i: (-keys[i][row], i))[:3]
        assert [o for o in ordinals_of(best.ordered().scores)[row].tolist() if o >= 0] == expected
        assert best.ordered().values[row, : len(expected), 0].tolist() == [keys[i][row] for i in expected]


def distinct_of(rows: list[tuple[int, int]], k: int) -> list[tuple[int, int]]:
    """(key, ordinal) of the best excerpt of each text, the best ``k``; ``rows`` are (key, text) by ordinal."""
    best: dict[int, tuple[int, int]] = {}
    for ordinal, (key, text) in enumerate(rows):
        if text not in best or key > best[text][0]:
            best[text] = (key, ordinal)
    return sorted(best.values(), key=lambda entry: (-entry[0], entry[1]))[:k]


def distinct_pool(rows: list[tuple[int, int]], first: int, batch: int) -> Best:
    """A pool of three distinct texts, filled batch by batch; the first ordinal is ``first``."""
    best = Best.empty(1, 3, 1, CPU, distinct=True)
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        keys = torch.tensor([[key] for key, _ in part], dtype=torch.int32)
        ordinals = torch.arange(first + start, first + start + len(part))
        texts = torch.tensor([[text] for _, text in part])
        best.add(keys, Batch(ordinals, keys.float(), keys.float()[:, :, None], texts))
    return best


keyed = st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 4)), max_size=14)


@given(keyed, st.integers(1, 5), st.integers(0, 14))
def test_a_pool_of_distinct_texts_keeps_the_best_of_each_however_it_is_cut(
    rows: list[tuple[int, int]], batch: int, cut: int
) -> None:
    whole, left = distinct_pool(rows, 0, batch), distinct_pool(rows[:cut], 0, batch)
    right = distinct_pool(rows[cut:], len(rows[:cut]), batch)
    right.merge(left)
    expected = distinct_of(rows, 3)
    for pool in (whole, right):
        ordered = pool.ordered()
        found = zip(upper(ordered.scores)[0].tolist(), ordinals_of(ordered.scores)[0].tolist(), strict=True)
        assert [entry for entry in found if entry[1] >= 0] == expected
        assert ordered.values[0, : len(expected), 0].tolist() == [key for key, _ in expected]


SHAPE = Shape(1, 4, 3, 3)
ROWS = TokenRows(np.array([0, 1, 2, 2, 2], np.int32), np.array([0, 1], np.int32), np.array([1, 1]), n_others=1)


def shard_states(values: torch.Tensor, cuts: list[int]) -> list[State]:
    """A state for each piece of ``values`` [excerpts, tokens, neurons], as if each were a shard."""
    pilot = Pilot()
    pilot.add(values)
    bounds = stacked([pilot.bounds()])
    sampling = Sampling(3, len(values), 2)
    tokens = np.random.default_rng(0).integers(0, 5, (len(values), 3)).astype(np.int32)
    states = []
    edges = [0, *cuts, len(values)]
    for shard, (first, last) in enumerate(itertools.pairwise(edges)):
        state = State.empty(SHAPE, CPU)
        reducer = Reducer(state, bounds, sampling)
        reducer.begin()
        excerpts = Excerpted.of(np.arange(first, last), sampling, CPU).reading(tokens[first:last], ROWS)
        if last > first:
            reducer.add(excerpts, 0, values[first:last])
        reducer.end(shard, last - first, int(excerpts.in_histogram.sum()))
        reducer.settle()
        states.append(state)
    return states


@given(st.data())
def test_states_merge_to_the_same_in_any_order_and_grouping(data: st.DataObject) -> None:
    n = data.draw(st.integers(4, 60))
    seed = data.draw(st.integers(0, 1000))
    values = torch.from_numpy(np.random.default_rng(seed).standard_normal((n, 3, 4)).astype(np.float32).round(1))
    cuts = sorted(data.draw(st.lists(st.integers(0, n), min_size=2, max_size=2)))
    left, right = shard_states(values, cuts), shard_states(values, cuts)
    left[0].merge(left[1])
    left[0].merge(left[2])
    right[2].merge(right[1])
    right[2].merge(right[0])
    assert_same(left[0], right[2])
    assert left[0].excerpts == n
    assert sorted(set(ordinals_of(left[0].pool(0, "uniform").scores)[0].tolist()) - {-1}) == sorted(
        set(ordinals_of(right[2].pool(0, "uniform").scores)[0].tolist()) - {-1}
    )


def test_priorities_are_uniform_and_differ_between_neurons() -> None:
    chance = priorities(hash32(1, 1, np.arange(4000)), hash32(1, 2, np.arange(50))).double() / 2**31
    counts = torch.histc(chance, 20, 0, 1)
    assert float(((counts - 10_000) ** 2 / 10_000).sum()) < 60  # chi-square, 19 degrees of freedom
    assert torch.corrcoef(chance.T).fill_diagonal_(0).abs().max() < 0.1


def test_hashes_depend_on_seed_and_purpose() -> None:
    numbers = np.arange(5)
    assert len({tuple(hash64(seed, purpose, numbers).tolist()) for seed in (0, 1) for purpose in (1, 2)}) == 4


@given(st.integers(1, 300), st.integers(1, 50))
def test_the_pilots_excerpts_are_distinct_and_ascend(population: int, n: int) -> None:
    chosen = lowest(0, 1, population, n).tolist()
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(n, population)
    assert chosen[-1] < population
