import json
import math
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import cast, literal, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from app.domain.storable import BIGGEST_INTEGER, MOST_CHARACTERS, MOST_ITEMS, storable_json, storable_text

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None, categories=None, exclude_categories=[])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def test_nul_and_halves_of_pairs_are_replaced_and_whole_pairs_joined() -> None:
    assert storable_text("nul \x00 half \ud800 whole \ud83d\ude00") == "nul \u2400 half \ufffd whole \U0001f600"


def test_names_of_fields_are_brought_into_form_as_well() -> None:
    assert storable_json({"a\x00": ["\ud800", 1, None, {"b": "ok"}]}) == {"a\u2400": ["\ufffd", 1, None, {"b": "ok"}]}


def test_numbers_that_json_or_the_database_cannot_hold_are_none_or_floats() -> None:
    values = [math.nan, math.inf, -math.inf, BIGGEST_INTEGER, 10**30, -(10**30), 10**400, True]
    assert storable_json(values) == [None, None, None, BIGGEST_INTEGER, 1e30, -1e30, None, True]


def test_size_and_depth_are_bounded_with_a_note() -> None:
    deep: Any = "bottom"
    for _ in range(10_000):
        deep = [deep]
    assert "nested too deeply" in json.dumps(storable_json(deep))
    assert storable_json("x" * (MOST_CHARACTERS + 7)).endswith("(and 7 more characters)")
    assert storable_json([0] * (MOST_ITEMS + 7))[-1] == "(and 7 more)"
    assert len(storable_json({str(n): n for n in range(MOST_ITEMS + 7)})) == MOST_ITEMS + 1


@given(ANYTHING)
def test_whatever_json_holds_is_strict_json_afterwards(value: Any) -> None:
    text = json.dumps(storable_json(value), allow_nan=False)
    assert json.loads(text) == storable_json(json.loads(text))


def test_what_json_does_not_know_is_stored_as_text() -> None:
    assert storable_json([Decimal("1.50"), {1}]) == ["1.50", "{1}"]


def test_the_database_takes_it(session: Session) -> None:
    value = {"\x00": ["\ud800", math.nan, 10**400, {"a": [[[1.5]]]}]}
    stored = session.scalars(select(cast(literal(storable_json(value), JSONB), JSONB))).one()
    assert stored == {"\u2400": ["\ufffd", None, None, {"a": [[[1.5]]]}]}
