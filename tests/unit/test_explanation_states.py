import pytest

from app.domain.explanation_states import ExplanationState, JudgedItem, explanation_state
from app.domain.review import ItemState, Verdict

OPEN, DISPUTED = JudgedItem(ItemState.OPEN, None), JudgedItem(ItemState.DISPUTED, None)
WITHDRAWN = JudgedItem(ItemState.WITHDRAWN, None)


def settled(outcome: Verdict) -> JudgedItem:
    return JudgedItem(ItemState.SETTLED, outcome)


@pytest.mark.parametrize(
    ("items", "is_rejected", "state"),
    [
        ([], False, None),
        ([WITHDRAWN], False, None),
        ([OPEN], False, ExplanationState.FLAGGED),
        ([OPEN, DISPUTED], False, ExplanationState.DISPUTED),
        ([settled(Verdict.HOLDS)], False, ExplanationState.HOLDS),
        ([settled(Verdict.FAILS)], True, ExplanationState.REJECTED),
        ([settled(Verdict.FAILS), OPEN], True, ExplanationState.FLAGGED),
        ([settled(Verdict.HOLDS), settled(Verdict.CANNOT_TELL)], False, None),
        ([settled(Verdict.CANNOT_TELL), settled(Verdict.HOLDS)], False, ExplanationState.HOLDS),
        ([], True, ExplanationState.REJECTED),
    ],
)
def test_the_state_follows_from_its_items(
    items: list[JudgedItem], is_rejected: bool, state: ExplanationState | None
) -> None:
    assert explanation_state(items, is_rejected=is_rejected) is state


def test_every_state_has_words() -> None:
    for state in ExplanationState:
        assert state.label
        assert state.sentence.endswith(".")
