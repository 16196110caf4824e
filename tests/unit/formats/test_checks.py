import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.formats.checks import Refused, check_excerpt, finite

NUMBERS = st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), max_size=8)


@given(NUMBERS)
def test_numbers_are_finite_where_each_is(numbers: list[float]) -> None:
    assert finite(numbers) == all(math.isfinite(number) for number in numbers)


def test_numbers_whose_sum_is_too_large_are_finite_all_the_same() -> None:
    assert not math.isfinite(sum([1e308, 1e308]))
    assert finite([1e308, 1e308])
    assert finite([])


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_an_activation_that_was_text_is_refused_where_it_is_not_finite(number: float) -> None:
    with pytest.raises(Refused, match="not a finite number"):
        check_excerpt(["a", "b"], [0.5, number], is_lax=True)
    with pytest.raises(Refused, match="not a finite number"):  # infinities of both signs add up to no infinity
        check_excerpt(["a", "b"], [math.inf, -math.inf], is_lax=True)
