import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.audit.correction import (
    NO_BETTER_THAN_CHANCE,
    NO_RIGHT_CONTROL,
    NO_WRONG_CONTROL,
    Controls,
    corrected_share,
)
from app.domain.audit.shares import NO_VERDICT, JudgedStratum, Share, population_share

N_CAMPAIGNS = 1000


def test_by_hand() -> None:
    controls = Controls(20, 18, 20, 16)  # q1 = 0.9, q0 = 0.8
    found = corrected_share(Share(0.55, 100), controls, seed=0)
    assert found.value == pytest.approx((0.55 + 0.8 - 1) / (0.9 + 0.8 - 1))
    assert found.interval is not None
    assert found.interval[0] < 0.5 < found.interval[1]


def test_reviewers_without_error_on_many_controls_change_nothing() -> None:
    share = Share(0.4, 200)
    found = corrected_share(share, Controls(10**7, 10**7, 10**7, 10**7), seed=0)
    assert found.value == pytest.approx(0.4)
    assert found.interval == pytest.approx(share.interval, abs=0.005)


def test_few_controls_widen_the_interval() -> None:
    def width(n: int) -> float:
        low, high = corrected_share(Share(0.5, 400), Controls(n, n * 9 // 10, n, n * 9 // 10), seed=0).interval or (
            0,
            0,
        )
        return high - low

    assert width(10) > width(40) > width(400)


@pytest.mark.parametrize(
    ("share", "controls", "reason"),
    [
        (None, Controls(5, 5, 5, 5), NO_VERDICT),
        (Share(0.5, 10), Controls(0, 0, 5, 5), NO_RIGHT_CONTROL),
        (Share(0.5, 10), Controls(5, 5, 0, 0), NO_WRONG_CONTROL),
        (Share(0.5, 10), Controls(10, 5, 10, 5), NO_BETTER_THAN_CHANCE),
        (Share(0.5, 10), Controls(10, 2, 10, 2), NO_BETTER_THAN_CHANCE),
    ],
)
def test_where_there_is_no_correction_there_is_a_reason(share: Share | None, controls: Controls, reason: str) -> None:
    assert corrected_share(share, controls, seed=0).undefined_reason == reason


@given(st.floats(0, 1), st.integers(1, 300), st.integers(1, 30), st.integers(1, 30), st.data())
def test_a_corrected_share_stays_within_0_to_1_and_its_interval_holds_it(
    p: float, n: int, n_right: int, n_wrong: int, data: st.DataObject
) -> None:
    controls = Controls(n_right, data.draw(st.integers(0, n_right)), n_wrong, data.draw(st.integers(0, n_wrong)))
    found = corrected_share(Share(p, n), controls, seed=3)
    if found.value is None:
        assert found.undefined_reason
        return
    assert found.interval is not None
    assert 0 <= found.interval[0] <= found.value <= found.interval[1] <= 1
    assert found == corrected_share(Share(p, n), controls, seed=3)


@pytest.mark.parametrize(
    ("holds", "n", "n_controls", "q1", "q0"),
    [(0.3, 100, 20, 0.9, 0.85), (0.1, 200, 20, 0.9, 0.85), (0.8, 300, 30, 0.8, 0.7), (0.3, 1000, 100, 0.9, 0.9)],
)
def test_the_interval_covers_the_true_share(holds: float, n: int, n_controls: int, q1: float, q0: float) -> None:
    generator, covered = np.random.default_rng(4), 0
    for seed in range(N_CAMPAIGNS):
        said = int(generator.binomial(n, holds * q1 + (1 - holds) * (1 - q0)))
        controls = Controls(
            n_controls, int(generator.binomial(n_controls, q1)), n_controls, int(generator.binomial(n_controls, q0))
        )
        share = population_share([JudgedStratum("all", 10**9, n, n, said)])
        low, high = corrected_share(share, controls, seed=seed).interval or (1, 0)
        covered += low <= holds <= high
    assert 0.93 <= covered / N_CAMPAIGNS <= 0.97
