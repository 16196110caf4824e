from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from app.domain.review import Stratifier
from app.domain.sampling import Stratified, allocation, draw, positions, rate_band, score_band, stratum_label

populations = st.lists(st.integers(0, 300), min_size=1, max_size=12)


@given(populations, st.integers(0, 500))
def test_an_allocation_uses_up_the_number_and_no_stratum(sizes: list[int], n: int) -> None:
    found = allocation(sizes, n)
    assert sum(found) == min(n, sum(sizes))
    assert all(0 <= drawn <= size for drawn, size in zip(found, sizes, strict=True))


@given(populations, st.integers(30, 500))
def test_every_stratum_is_represented_where_the_sample_is_large_enough(sizes: list[int], n: int) -> None:
    assert all(drawn >= min(2, size) for drawn, size in zip(allocation(sizes, n), sizes, strict=True))


def test_shares_are_those_of_the_population() -> None:
    assert allocation([600, 300, 100], 100) == [60, 30, 10]
    assert allocation([990, 10, 0], 20) == [18, 2, 0]


@given(st.lists(st.integers(0, 3), max_size=200), st.integers(0, 50), st.integers(0, 2**32))
def test_a_draw_repeats_exactly_and_takes_nobody_twice(frame: list[int], n: int, seed: int) -> None:
    labels = ("a", "b", "c", "d")
    found = draw(frame, labels, n=n, seed=seed)
    assert found == draw(frame, labels, n=n, seed=seed)
    assert len(set(found.indices)) == len(found.indices) == min(n, len(frame))
    assert [frame[i] for i in found.indices] == list(found.strata_of)
    assert [s.population for s in found.strata] == [frame.count(i) for i in range(4)]
    assert [s.n for s in found.strata] == [Counter(found.strata_of)[i] for i in range(4)]


def test_members_of_a_stratum_are_equally_likely() -> None:
    counts = Counter(i for seed in range(2_000) for i in draw([0] * 10, ("all",), n=3, seed=seed).indices)
    assert all(500 < counts[i] < 700 for i in range(10))


def test_another_seed_gives_another_order() -> None:
    assert positions(50, seed=1) == positions(50, seed=1) != positions(50, seed=2)


def test_bands_include_their_lower_edge() -> None:
    assert [score_band(s) for s in (None, -0.5, 0.2, 0.79, 0.8, 1.0)] == [
        "not scored", "below 0.2", "0.2 to 0.4", "0.6 to 0.8", "0.8 and above", "0.8 and above",
    ]  # fmt: skip
    assert [rate_band(r) for r in (None, 0.0, 0.001, 0.5)] == [
        "not known", "below 0.01 %", "0.1 to 1 %", "10 % and above",
    ]  # fmt: skip


def test_a_stratum_is_of_one_kind_of_score() -> None:
    of = Stratified(layer=3, headline=0.1, score=0.9, firing_rate=None)
    assert {by: stratum_label(by, of) for by in (*Stratifier, None)} == {
        Stratifier.LAYER: "layer 3",
        Stratifier.SCORE_BAND: "below 0.2",
        Stratifier.SCORE_2023_BAND: "0.8 and above",
        Stratifier.FIRING_RATE: "not known",
        None: "all",
    }
    unknown = Stratified(layer=3, headline=None, score=0.9, firing_rate=None)
    assert stratum_label(Stratifier.SCORE_BAND, unknown) == "not scored"
