"""What reviewers do not learn before their verdict, and who may decide between them."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.review import ItemState, SlotKind, Verdict
from app.errors import Conflict
from app.models import Explanation, Neuron, ReviewItem
from app.queries.review.evidence import other_texts
from app.queries.review.judging import send_back
from app.queries.review.shown import item_shown
from app.queries.review.taking import Reviewer, take_item, take_next
from tests.db.reviewing import Cast, judge, reviewing
from tests.factories import Make

TEXTS = tuple(f"candidate {letter}" for letter in "abcdef")


def candidates(session: Session, cast: Cast) -> list[tuple[str, ...]]:
    """The other texts of every item, in the order in which they are shown."""
    ids = session.scalars(
        select(ReviewItem.id).where(ReviewItem.campaign_id == cast.campaign_id).order_by(ReviewItem.id)
    )
    return [other_texts(session, item=item_shown(session, item_id=item_id)) for item_id in ids]


def test_candidates_are_shuffled_anew_for_each_item_and_alike_for_each_reviewer(session: Session, make: Make) -> None:
    """In an order of age, length or alphabet a reviewer would learn which text is whose."""
    cast = reviewing(make, n_items=8)
    asked_about = select(Explanation.neuron_id).where(Explanation.id.in_(cast.explanation_ids))
    for neuron in session.scalars(select(Neuron).where(Neuron.id.in_(asked_about))).all():
        for text in TEXTS:
            make.explanation(neuron, text)
    found = candidates(session, cast)
    assert all(sorted(texts) == list(TEXTS) for texts in found)
    assert len(set(found)) == len(found)
    assert candidates(session, cast) == found


def disputed(session: Session, make: Make) -> tuple[Cast, Reviewer]:
    """An item that two reviewers and one who may adjudicate judge differently, and another who may."""
    cast = reviewing(make)
    cast.judge(session, cast.alice, "holds")
    cast.judge(session, cast.bob, "wrong")
    assert cast.judge(session, cast.dora, "too_broad").state is ItemState.DISPUTED
    return cast, Reviewer(make.account("carol", "administrator").id, may_adjudicate=True)


def test_who_has_judged_an_item_does_not_adjudicate_it(session: Session, make: Make) -> None:
    cast, carol = disputed(session, make)
    item_id = session.scalars(select(ReviewItem.id)).one()
    assert take_next(session, campaign_id=cast.campaign_id, reviewer=cast.alice) is None
    with pytest.raises(Conflict, match="You have judged this item already"):
        take_item(session, item_id=item_id, reviewer=cast.alice)
    slot = cast.take(session, carol)
    assert (slot.item_id, slot.kind) == (item_id, SlotKind.ADJUDICATION)
    decided = judge(session, slot, carol, "wrong")
    assert (decided.state, decided.outcome) == (ItemState.SETTLED, Verdict.FAILS)


@pytest.mark.parametrize("who", ["alice", "bob", "dora", "carol"])
def test_nobody_takes_part_twice_in_an_item_that_was_adjudicated_and_sent_back(
    session: Session, make: Make, who: str
) -> None:
    cast, carol = disputed(session, make)
    judged = cast.judge(session, carol, "wrong")
    send_back(session, item_id=judged.item_id, account_id=cast.alice.account_id, note="look again")
    reviewer = carol if who == "carol" else getattr(cast, who)
    assert take_next(session, campaign_id=cast.campaign_id, reviewer=reviewer) is None
    frank = Reviewer(make.account("frank", "administrator").id, may_adjudicate=True)
    assert cast.take(session, frank).item_id == judged.item_id
