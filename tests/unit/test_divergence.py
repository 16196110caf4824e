import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.arrays import Float32s
from app.domain.divergence import ablation_score, jensen_shannon


def logs(*rows: tuple[float, ...]) -> Float32s:
    with np.errstate(divide="ignore"):
        return np.log(np.array(rows, dtype=np.float32))


def test_divergence_by_hand() -> None:
    # p = (1, 0), q = (1/2, 1/2), m = (3/4, 1/4)
    kl_p = math.log(1 / 0.75)
    kl_q = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert jensen_shannon(logs((1.0, 0.0)), logs((0.5, 0.5)))[0] == pytest.approx((kl_p + kl_q) / 2, rel=1e-6)


def test_distributions_without_overlap_are_log_two_apart() -> None:
    assert jensen_shannon(logs((1.0, 0.0)), logs((0.0, 1.0)))[0] == pytest.approx(math.log(2))


@given(st.integers(0, 2**32 - 1))
def test_divergence_is_symmetric_bounded_and_zero_on_equals(seed: int) -> None:
    p, q = (np.log(np.random.default_rng(seed + i).dirichlet(np.ones(5), size=3)).astype(np.float32) for i in range(2))
    assert jensen_shannon(p, q) == pytest.approx(jensen_shannon(q, p))
    assert jensen_shannon(p, p) == pytest.approx(0, abs=1e-7)
    assert (jensen_shannon(p, q) <= math.log(2)).all()


def test_ablation_score_by_hand() -> None:
    estimate = ablation_score(
        [np.array([0.1, 0.3]), np.array([0.0])], [np.array([0.5, 0.5]), np.array([1.0])], [0, 0], seed=0
    )
    assert estimate.value == pytest.approx(1 - 0.4 / 2.0)
    assert estimate.interval is not None
    assert estimate.interval[0] < 0.8 < estimate.interval[1] < 1.0


def test_a_neuron_that_does_nothing_has_no_ablation_score() -> None:
    assert ablation_score([np.zeros(2)], [np.zeros(2)], [0], seed=0).undefined_reason
    assert ablation_score([], [], [], seed=0).undefined_reason == "there is no excerpt to score"
