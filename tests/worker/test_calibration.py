from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from app.domain.activations import SampleKind
from app.domain.arrays import Float32s, Int32s
from app.domain.results import SimulatedExcerpt
from app.domain.tokens import Vocabulary
from tests.worker.tasks import task, words
from worker.method.contracts import CalibratedSimulator, CannotSimulate, NeuronTask
from worker.simulators.calibration import (
    Calibrated,
    Fitted,
    Map,
    linear,
    linear_calibration,
    percentile,
    percentile_calibration,
)

numbers = st.lists(st.floats(0, 10, width=32), min_size=2, max_size=30)


class Doubting:
    """Expects half of every token's id; keeps its inputs."""

    name, version = "doubting", 1

    def __init__(self) -> None:
        self.asked: list[int] = []

    def simulate(
        self, text: str, excerpts: Sequence[tuple[int, Int32s]], vocabulary: Vocabulary
    ) -> tuple[SimulatedExcerpt, ...]:
        if not text:
            raise CannotSimulate
        self.asked += [excerpt_id for excerpt_id, _ in excerpts]
        return tuple(SimulatedExcerpt(i, len(ids), (ids / 2).astype(np.float32)) for i, ids in excerpts)


def array(*values: float) -> Float32s:
    return np.array(values, dtype=np.float32)


def neuron() -> NeuronTask:
    tops = [(("a", 0.0), ("b", 2.0), ("c", 4.0), ("d", float(n))) for n in (6, 7, 8, 6)]
    return task({SampleKind.TOP: tops, SampleKind.RANDOM: [words("a b c"), words("c d"), words("d a")]})


def test_a_line_is_fitted_by_least_squares() -> None:
    fitted = linear(array(0, 1, 2), array(1, 2, 6))  # slope 5/2, through the means (1, 3)
    assert fitted is not None
    assert fitted(array(0, 1, 2, 10)) == pytest.approx([0.5, 3.0, 5.5, 25.5])


def test_a_constant_prediction_has_no_line() -> None:
    assert linear(array(3, 3), array(1, 5)) is None


def test_equal_ranks_are_matched() -> None:
    fitted = percentile(array(0, 1, 2, 3), array(5, 5, 5, 9))
    assert fitted(array(-1, 0, 3, 9)) == pytest.approx([5.0, 5.0, 9.0, 9.0])


@given(numbers, st.floats(-3, 3), st.floats(0.5, 5))
def test_a_line_undoes_any_change_of_scale(values: list[float], offset: float, slope: float) -> None:
    real = np.array(values, dtype=np.float32)
    expected = (real * np.float32(slope) + np.float32(offset)).astype(np.float32)
    if np.ptp(expected) > 0.1:
        fitted = linear(expected, real)
        assert fitted is not None
        assert fitted(expected) == pytest.approx(real, abs=1e-2)


@given(arrays(np.float32, st.integers(1, 30), elements=st.floats(-100, 100, width=32)))
def test_equal_ranks_on_equal_activations_change_nothing(values: Float32s) -> None:
    assert percentile(values, values)(values) == pytest.approx(values, rel=1e-5, abs=1e-5)


def test_a_calibration_that_leaves_the_numbers_is_a_failure_with_its_reason() -> None:
    fitted = Fitted(Doubting(), "linear", lambda values: values * np.float32(np.inf), ())
    (answer,) = fitted.simulate("text", [(1, np.arange(1, 4, dtype=np.int32))], neuron().vocabulary)
    assert answer.expected is None
    assert answer.failure == "the calibrated activations are not finite numbers"


@given(numbers, numbers)
@pytest.mark.parametrize("fit", [percentile])
def test_percentiles_keep_the_order(
    fit: Callable[[Float32s, Float32s], Map], expected: list[float], real: list[float]
) -> None:
    fitted = fit(array(*expected), array(*real))(array(*sorted(expected)))
    assert np.all(np.diff(fitted) >= -1e-5)
    assert min(real) - 1e-5 <= fitted.min() <= fitted.max() <= max(real) + 1e-5


@pytest.mark.parametrize("make", [linear_calibration, percentile_calibration])
def test_only_calibration_records_are_looked_at(make: Callable[[Doubting], Calibrated]) -> None:
    inner, subject = Doubting(), neuron()
    make(inner).fitted("text", subject)
    assert inner.asked == [record.excerpt_id for record in subject.calibration]


def test_what_is_scored_is_calibrated_and_kept_uncalibrated_beside_it() -> None:
    calibrated = linear_calibration(Doubting())
    assert isinstance(calibrated, CalibratedSimulator)
    subject = neuron()
    (simulated,) = calibrated.fitted("text", subject).simulate(
        "text", [(1, np.arange(4, dtype=np.int32))], subject.vocabulary
    )
    assert simulated.uncalibrated == pytest.approx([0.0, 0.5, 1.0, 1.5])
    assert simulated.expected is not None
    assert simulated.expected.tolist() != pytest.approx([0.0, 0.5, 1.0, 1.5])


def test_a_text_that_cannot_be_simulated_stays_so() -> None:
    with pytest.raises(CannotSimulate):
        linear_calibration(Doubting()).fitted("", neuron()).simulate("", [], neuron().vocabulary)
