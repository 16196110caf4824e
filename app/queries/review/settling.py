"""The consequences of verdicts: an item's state and outcome, further slots, and the explanation's rejection."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from app.domain.bounds import BIGGEST_ID
from app.domain.events import EventKind
from app.domain.review import (
    REJECTING,
    CampaignState,
    GivenVerdict,
    ItemSource,
    ItemState,
    Settlement,
    SlotKind,
    SlotState,
    Verdict,
    VerdictKind,
    rejects_text,
    settlement,
)
from app.errors import Conflict, NotFound
from app.models import (
    Campaign,
    Explanation,
    Flag,
    Neuron,
    RejectedExplanation,
    ReviewItem,
    ReviewSlot,
    ReviewVerdict,
)
from app.queries.explanations.standing import refresh_current
from app.queries.history.events import record_neuron_event
from app.queries.people.news import tell_of_flags
from app.queries.review.controls import repeat_settled
from app.queries.review.live import stands


@dataclass(frozen=True, slots=True)
class Judged:
    """The consequences of a verdict."""

    verdict_id: int
    item_id: int
    campaign_id: int
    state: ItemState
    outcome: Verdict | None


@dataclass(frozen=True, slots=True)
class LockedItem:
    """A locked item with its campaign and its neuron."""

    row: ReviewItem
    campaign: Campaign
    neuron_id: int
    subject_id: int


def settle(
    session: Session, item: LockedItem, event: EventKind, account_id: int, verdict_id: int, detail: dict[str, Any]
) -> Judged:
    """Store the item's new state and add the slot that it needs; record the event."""
    required = session.scalars(
        select(func.count()).where(ReviewSlot.item_id == item.row.id, ReviewSlot.kind == SlotKind.REVIEW)
    ).one()
    found = settlement(_given(session, item.row.id), n_required=required)
    before = {"state": item.row.state, "outcome": item.row.outcome}
    waiting = _free_up(session, item.row.id, keep=found.needs)
    if found.needs is not None and not waiting:
        add_slot(session, item.row, found.needs)
    store_settlement(session, item, found)
    detail |= {
        "verdict_id": verdict_id,
        "item_id": item.row.id,
        "campaign_id": item.campaign.id,
        "explanation_id": item.row.explanation_id,
        "before": before,
        "after": {"state": found.state, "outcome": found.outcome},
    }
    if item.campaign.is_standing and found.state is ItemState.SETTLED:
        detail |= {"flag": "upheld" if found.outcome in REJECTING else "rejected"}
        tell_of_flags(session, item_id=item.row.id, by=account_id)
    record_neuron_event(session, kind=event, about=item, account_id=account_id, detail=detail)
    return Judged(verdict_id, item.row.id, item.campaign.id, found.state, found.outcome)


def _free_up(session: Session, item_id: int, *, keep: SlotKind | None) -> bool:
    """Remove free slots beyond the required ones, except those of the kind to keep; returns whether one is left."""
    extra = (ReviewSlot.item_id == item_id, ReviewSlot.kind.in_([SlotKind.FURTHER, SlotKind.ADJUDICATION]))
    surplus = delete(ReviewSlot).where(*extra, ReviewSlot.state == SlotState.FREE)
    session.execute(surplus if keep is None else surplus.where(ReviewSlot.kind != keep))
    waiting = select(ReviewSlot.id).where(*extra, ReviewSlot.state != SlotState.JUDGED, ReviewSlot.kind == keep)
    return keep is not None and session.scalar(waiting.limit(1)) is not None


def _given(session: Session, item_id: int) -> list[GivenVerdict]:
    rows: Sequence[Any] = session.execute(
        select(ReviewVerdict.kind, ReviewSlot.kind.label("slot"))
        .join(ReviewSlot, ReviewSlot.id == ReviewVerdict.slot_id)
        .where(ReviewVerdict.item_id == item_id, stands())
        .order_by(ReviewVerdict.id)
    ).all()
    return [GivenVerdict(VerdictKind(row.kind).verdict, SlotKind(row.slot)) for row in rows]


def store_settlement(session: Session, item: LockedItem, found: Settlement) -> None:
    """Store the item's state and outcome; for a flagged explanation also the consequences for the explanation."""
    was_settled, is_settled = item.row.state == ItemState.SETTLED, found.state is ItemState.SETTLED
    item.row.state, item.row.outcome = found.state, found.outcome
    item.row.settled_at = func.now() if is_settled else None
    session.flush()  # flushed: a check constraint spans these columns, and other statements read them
    if is_settled:
        repeat_settled(session, item=item.row, campaign=item.campaign)
    if item.campaign.is_standing and was_settled != is_settled:
        n_flags = select(func.count()).where(Flag.item_id == item.row.id).scalar_subquery()
        session.execute(
            update(Neuron)
            .where(Neuron.id == item.neuron_id)
            .values(n_open_flags=Neuron.n_open_flags + (-n_flags if is_settled else n_flags))
            .execution_options(synchronize_session=False)
        )
    if item.row.source != ItemSource.CONTROL and (was_settled or is_settled):
        _reject_or_not(session, explanation_id=item.row.explanation_id, neuron_id=item.neuron_id)


def _reject_or_not(session: Session, *, explanation_id: int, neuron_id: int) -> None:
    """Reject an explanation or undo its rejection, by the newest outcome; then update which one is shown first.

    A campaign's outcome rejects the explanation if it fails, a flag's outcome also if it holds partly, since that is
    the flag's claim. Controls are about planted texts and change nothing.
    """
    settled = (
        select(ReviewItem.id, ReviewItem.outcome, Campaign.is_standing)
        .join(Campaign, Campaign.id == ReviewItem.campaign_id)
        .where(
            ReviewItem.explanation_id == explanation_id,
            ReviewItem.state == ItemState.SETTLED,
            ReviewItem.source != ItemSource.CONTROL,
            ReviewItem.outcome != Verdict.CANNOT_TELL,
        )
        .order_by(ReviewItem.settled_at.desc(), ReviewItem.id.desc())
        .limit(1)
    )
    last = session.execute(settled).first()
    rejects = last is not None and rejects_text(Verdict(last.outcome), is_flag=last.is_standing)
    wanted = last.id if last is not None and rejects else None
    kept = session.get(RejectedExplanation, explanation_id, populate_existing=True)
    before = None if kept is None else kept.item_id
    if wanted == before:
        return
    if kept is not None:
        session.delete(kept)
        session.flush()  # flushed: must be deleted before a row for another item is inserted
    if wanted is not None:
        session.add(RejectedExplanation(explanation_id=explanation_id, item_id=wanted))
        session.flush()  # flushed: what is shown first depends on it
    if (wanted is None) != (before is None):
        refresh_current(session, neuron_id=neuron_id)


def add_slot(session: Session, item: ReviewItem, kind: SlotKind) -> None:
    """Add one more required judgement of the item."""
    number = session.scalars(select(func.max(ReviewSlot.number)).where(ReviewSlot.item_id == item.id)).one() or 0
    session.add(
        ReviewSlot(item_id=item.id, campaign_id=item.campaign_id, position=item.position, number=number + 1, kind=kind)
    )
    session.flush()  # flushed: later statements of this transaction look for it


def locked_item(session: Session, item_id: int) -> LockedItem:
    """An item, locked, so that concurrent judgements run one after the other and see each other's verdicts.

    Its neuron is locked first, in the same order as when a flag is opened, to avoid a deadlock.
    """
    neuron = (
        select(Neuron.id)
        .join(Explanation, Explanation.neuron_id == Neuron.id)
        .join(ReviewItem, ReviewItem.explanation_id == Explanation.id)
        .where(ReviewItem.id == item_id)
        .with_for_update(of=Neuron, key_share=True)
    )
    found = (
        select(ReviewItem, Campaign, Neuron.id, Neuron.subject_id)
        .join(Campaign, Campaign.id == ReviewItem.campaign_id)
        .join(Explanation, Explanation.id == ReviewItem.explanation_id)
        .join(Neuron, Neuron.id == Explanation.neuron_id)
        .where(ReviewItem.id == item_id)
        .with_for_update(of=ReviewItem)
        .execution_options(populate_existing=True)
    )
    if not 0 < item_id <= BIGGEST_ID or session.execute(neuron).first() is None:
        raise NotFound("There is no such item.")
    row = session.execute(found).first()
    if row is None:
        raise NotFound("There is no such item.")
    return LockedItem(*row)


def require_not_ended(campaign: Campaign) -> None:
    """Raise Conflict if the campaign has ended."""
    if campaign.state == CampaignState.ENDED:
        raise Conflict("This campaign has ended. Its verdicts are final.")
