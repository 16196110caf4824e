"""Reviewers' verdicts on explanations, as far as they may be shown."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ColumnElement, Select, and_, any_, bindparam, exists, func, or_, select
from sqlalchemy import text as sql

from app.domain.explanation_states import ExplanationState, JudgedItem, explanation_state
from app.domain.review import CampaignState, ItemSource, ItemState, SlotKind, Verdict
from app.models import Campaign, Explanation, Neuron, RejectedExplanation, ReviewItem, ReviewSlot
from app.models.base import is_one_of
from app.queries.common.prepared import PreparedSelect


@dataclass(frozen=True, slots=True)
class ItemOfExplanation:
    """An explanation's item of a campaign."""

    explanation_id: int
    state: ItemState
    outcome: Verdict | None
    is_rejected: bool
    """Whether reviewers have rejected the explanation, by an upheld flag or in a campaign."""


def shown_items() -> Select[*tuple[Any, ...]]:
    """Query of items whose verdicts may be shown, oldest first; the caller restricts it to some explanations.

    These are the items of flags and of ended campaigns: earlier, showing verdicts would undo the blinding. Items that
    an ended campaign has not judged are left out.
    """
    return (
        select(
            ReviewItem.explanation_id,
            ReviewItem.state,
            ReviewItem.outcome,
            RejectedExplanation.explanation_id.is_not(None).label("is_rejected"),
        )
        .join(Explanation, Explanation.id == ReviewItem.explanation_id)
        .join(Campaign, Campaign.id == ReviewItem.campaign_id)
        .outerjoin(RejectedExplanation, RejectedExplanation.explanation_id == ReviewItem.explanation_id)
        .where(_may_be_shown())
        .order_by(ReviewItem.id)
    )


def disputed_explanations() -> Select[int]:
    """Ids of explanations on which required verdicts disagreed, even if settled since, where that may be shown."""
    disagreed = exists().where(
        ReviewSlot.item_id == ReviewItem.id,
        sql(is_one_of("review_slot.kind", (SlotKind.FURTHER, SlotKind.ADJUDICATION))),
    )
    return (
        select(ReviewItem.explanation_id)
        .join(Campaign, Campaign.id == ReviewItem.campaign_id)
        .where(_may_be_shown(), disagreed)
    )


def _may_be_shown() -> ColumnElement[bool]:
    return and_(
        ReviewItem.source != ItemSource.CONTROL,
        or_(Campaign.is_standing, and_(Campaign.state == CampaignState.ENDED, ReviewItem.state != ItemState.OPEN)),
    )


@dataclass(frozen=True, slots=True)
class DisputedOfSubject:
    """The number of a subject's neurons whose shown explanation is or was disputed."""

    subject_id: int
    n: int


DISPUTED = PreparedSelect(
    DisputedOfSubject,
    select(Neuron.subject_id, func.count().label("n"))
    .join(Explanation, and_(Explanation.neuron_id == Neuron.id, Explanation.id == Neuron.current_explanation_id))
    .where(Explanation.id.in_(disputed_explanations()))
    .group_by(Neuron.subject_id),
)
ITEMS_OF_EXPLANATIONS = PreparedSelect(
    ItemOfExplanation,
    shown_items().where(ReviewItem.explanation_id == any_(bindparam("explanation_ids", type_=ARRAY(BigInteger)))),
)


def states_by_explanation(items: Iterable[ItemOfExplanation]) -> Mapping[int, ExplanationState | None]:
    """The state of each explanation that has items; explanations that no reviewer was asked about are absent."""
    own: dict[int, list[ItemOfExplanation]] = defaultdict(list)
    for item in items:
        own[item.explanation_id].append(item)
    return {
        key: explanation_state(
            [JudgedItem(item.state, item.outcome) for item in found], is_rejected=found[0].is_rejected
        )
        for key, found in own.items()
    }
