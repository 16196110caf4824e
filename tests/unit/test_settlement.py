import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.flags import FlagVerdict
from app.domain.review import (
    GivenVerdict,
    ItemState,
    Settlement,
    SlotKind,
    Verdict,
    VerdictKind,
    flag_verdict,
    settlement,
)

HOLDS, PARTLY, FAILS, CANNOT_TELL = Verdict
OPEN = Settlement(ItemState.OPEN)


def after(*story: Verdict | tuple[SlotKind, Verdict], n_required: int = 2) -> Settlement:
    """The state of an item after verdicts; a bare one fills a required slot."""
    given_ = [GivenVerdict(v, SlotKind.REVIEW) if isinstance(v, Verdict) else GivenVerdict(v[1], v[0]) for v in story]
    return settlement(given_, n_required=n_required)


def settled(outcome: Verdict) -> Settlement:
    return Settlement(ItemState.SETTLED, outcome)


def disputed(needs: SlotKind) -> Settlement:
    return Settlement(ItemState.DISPUTED, needs=needs)


def test_two_equal_verdicts_settle() -> None:
    assert [after(), after(HOLDS), after(HOLDS, HOLDS)] == [OPEN, OPEN, settled(HOLDS)]


def test_one_verdict_settles_where_one_is_required() -> None:
    assert after(FAILS, n_required=1) == settled(FAILS)


def test_all_required_verdicts_are_waited_for() -> None:
    assert after(HOLDS, HOLDS, n_required=3) == OPEN
    assert after(HOLDS, HOLDS, FAILS, n_required=3) == settled(HOLDS)


def test_two_that_differ_need_a_further_one_and_then_an_adjudicator() -> None:
    further = (SlotKind.FURTHER, HOLDS)
    assert after(HOLDS, FAILS) == disputed(SlotKind.FURTHER)
    assert after(HOLDS, FAILS, further) == settled(HOLDS)
    assert after(PARTLY, FAILS, further) == disputed(SlotKind.ADJUDICATION)
    assert after(PARTLY, FAILS, further, (SlotKind.ADJUDICATION, CANNOT_TELL)) == settled(CANNOT_TELL)


def test_a_tie_of_pairs_is_no_outcome() -> None:
    assert after(HOLDS, HOLDS, FAILS, FAILS, n_required=4) == disputed(SlotKind.FURTHER)


def test_an_item_that_was_sent_back_is_confirmed_or_adjudicated() -> None:
    assert after(HOLDS, HOLDS, (SlotKind.SENT_BACK, HOLDS)) == settled(HOLDS)
    overturned = (HOLDS, HOLDS, (SlotKind.SENT_BACK, FAILS))
    assert after(*overturned) == disputed(SlotKind.ADJUDICATION)
    decided = (*overturned, (SlotKind.ADJUDICATION, FAILS))
    assert after(*decided) == settled(FAILS)
    assert after(*decided, (SlotKind.SENT_BACK, FAILS)) == settled(FAILS)


@given(st.lists(st.sampled_from(Verdict), max_size=5).flatmap(lambda v: st.tuples(st.just(v), st.permutations(v))))
def test_the_order_of_required_verdicts_makes_no_difference(orders: tuple[list[Verdict], list[Verdict]]) -> None:
    first, second = orders
    assert after(*first, n_required=5) == after(*second, n_required=5)


@given(st.lists(st.sampled_from(Verdict), min_size=1, max_size=5))
def test_an_outcome_is_a_verdict_that_somebody_gave(verdicts: list[Verdict]) -> None:
    found = after(*verdicts, n_required=len(verdicts))
    assert (found.outcome in verdicts) if found.state is ItemState.SETTLED else (found.needs is SlotKind.FURTHER)


@pytest.mark.parametrize(
    ("kind", "key", "label"),
    [
        (VerdictKind.HOLDS, "1", "Holds"),
        (VerdictKind.TOO_BROAD, "2", "Partly: too broad"),
        (VerdictKind.ABOUT_THE_OUTPUT, "7", "Fails: about the output"),
        (VerdictKind.CANNOT_TELL, "8", "Cannot tell"),
    ],
)
def test_each_kind_has_its_key_and_its_words(kind: VerdictKind, key: str, label: str) -> None:
    assert (kind.key, kind.label) == (key, label)


@pytest.mark.parametrize(
    ("state", "outcome", "verdict"),
    [
        (ItemState.OPEN, None, None),
        (ItemState.DISPUTED, None, None),
        (ItemState.SETTLED, HOLDS, FlagVerdict.REJECTED),
        (ItemState.SETTLED, PARTLY, FlagVerdict.UPHELD),
        (ItemState.SETTLED, FAILS, FlagVerdict.UPHELD),
        (ItemState.SETTLED, CANNOT_TELL, FlagVerdict.UNDECIDED),
        (ItemState.WITHDRAWN, None, FlagVerdict.WITHDRAWN),
        (ItemState.WITHDRAWN, FAILS, FlagVerdict.WITHDRAWN),
    ],
)
def test_a_flag_has_the_verdict_that_its_item_came_to(
    state: ItemState, outcome: Verdict | None, verdict: FlagVerdict | None
) -> None:
    assert flag_verdict(state, outcome) is verdict
