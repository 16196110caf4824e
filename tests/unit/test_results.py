"""What a step hands over is a finite number or has a reason."""

import math

import numpy as np
import pytest

from app.domain.results import ScoreResult, SimulatedExcerpt
from app.domain.trials import TrialResult

ODD = (math.nan, math.inf, -math.inf)


def test_a_simulated_excerpt_has_expected_activations_or_a_failure() -> None:
    expected = np.zeros(2, dtype=np.float32)
    assert SimulatedExcerpt(1, 2, expected).failure is None
    for given, failure in ((None, None), (expected, "refused")):
        with pytest.raises(ValueError, match="or a failure"):
            SimulatedExcerpt(1, 2, given, failure)


@pytest.mark.parametrize("odd", ODD)
def test_no_result_holds_a_number_that_is_none(odd: float) -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        SimulatedExcerpt(1, 2, np.array([0.0, odd], dtype=np.float32))
    for field in ("value", "token_lookup_baseline", "shuffled_baseline", "chance", "interval"):
        values: dict[str, object] = {"value": 0.5, field: (0.1, odd) if field == "interval" else odd}
        with pytest.raises(ValueError, match="not a finite number"):
            ScoreResult("correlation", "top", n_valid=1, n_failed=0, **values)  # type: ignore[arg-type]  # by name
    for activations, expected in (([odd], None), ([0.0], [odd])):
        unit = None if expected is None else 0.4
        with pytest.raises(ValueError, match="not a finite number"):
            TrialResult([1], activations, expected, None, 0.1, unit, None)


def test_a_trial_has_its_unit_where_it_has_expected_activations() -> None:
    trial = TrialResult([1, 2], [0.5, -0.25], [10.0, 0.0], None, 0.1, 0.05, "lexical")
    assert TrialResult.from_json(trial.as_json()) == trial
    for expected, unit in (([10.0], None), (None, 0.05)):
        with pytest.raises(ValueError, match="come together"):
            TrialResult([1], [0.5], expected, None, 0.1, unit, None)
