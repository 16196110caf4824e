"""The examples of a report: items drawn by seed, so that they are not a selection by hand."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import Session

from app.domain.review import ItemSource, ItemState, SlotKind, SlotState, Verdict
from app.models import ReviewItem, ReviewSlot
from app.queries.review.shown import ItemShown, VerdictShown, item_shown, item_verdicts

N_EXAMPLES = 10


class ExampleKind(StrEnum):
    """The kinds of examples."""

    HOLDS = "holds"
    FAILS = "fails"
    DISPUTED = "disputed"


@dataclass(frozen=True, slots=True)
class ExampleItem:
    """An example: an item with its verdicts."""

    item: ItemShown
    verdicts: tuple[VerdictShown, ...]


def drawn_examples(session: Session, *, campaign_id: int, seed: int) -> Mapping[ExampleKind, tuple[ExampleItem, ...]]:
    """Up to ten items of each kind, in an order that the seed decides. Controls are never among them.

    If fewer than ten items fail, items that hold partly are added. Disputed items are those that their required
    verdicts did not settle, even if a further verdict or an adjudicator's has settled them since.
    """
    found: dict[ExampleKind, tuple[ExampleItem, ...]] = {}
    for number, kind in enumerate(ExampleKind):
        chosen: list[int] = []
        for condition in _CONDITIONS[kind]:
            ids = session.scalars(
                select(ReviewItem.id)
                .where(
                    ReviewItem.campaign_id == campaign_id,
                    ReviewItem.source != ItemSource.CONTROL,
                    ReviewItem.state != ItemState.WITHDRAWN,
                    condition,
                )
                .order_by(ReviewItem.id)
            ).all()
            order = np.random.default_rng([seed, number]).permutation(len(ids))
            chosen += [ids[i] for i in order][: N_EXAMPLES - len(chosen)]
        found[kind] = tuple(
            ExampleItem(item_shown(session, item_id=i), item_verdicts(session, item_id=i)) for i in chosen
        )
    return found


_MORE_WAS_NEEDED = exists().where(
    ReviewSlot.item_id == ReviewItem.id,
    ReviewSlot.kind.in_([SlotKind.FURTHER, SlotKind.ADJUDICATION]),
    ReviewSlot.state == SlotState.JUDGED,
)
_CONDITIONS: Mapping[ExampleKind, tuple[ColumnElement[bool], ...]] = {
    ExampleKind.HOLDS: (ReviewItem.outcome == Verdict.HOLDS,),
    ExampleKind.FAILS: (ReviewItem.outcome == Verdict.FAILS, ReviewItem.outcome == Verdict.PARTLY),
    ExampleKind.DISPUTED: (or_(ReviewItem.state == ItemState.DISPUTED, _MORE_WAS_NEEDED),),
}
