"""Verdicts: given, undone by a newer row, asked for again. What settles an item is ``app.domain.review.settlement``."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from app.domain.bounds import BIGGEST_ID, LONGEST_NOTE
from app.domain.events import EventKind
from app.domain.review import (
    LEASE_SECONDS,
    REJECTING,
    UNDO_SECONDS,
    UNSETTLED,
    CampaignState,
    Confidence,
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
    ReviewControl,
    ReviewItem,
    ReviewSlot,
    ReviewVerdict,
)
from app.queries.common.inputs import one_of, plain_text
from app.queries.explanations.standing import refresh_current
from app.queries.history.events import record_event
from app.queries.people.news import tell_of_flags
from app.queries.review.controls import repeat_settled
from app.queries.review.live import stands
from app.queries.review.taking import LeaseExpired, Reviewer, TakenSlot, take_item


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a reviewer sends, checked. Raises Invalid for unknown words and for a note that is too long."""

    kind: str
    confidence: str = Confidence.MEDIUM
    note: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
    """Of a language model; see ``ReviewVerdict``."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", one_of(self.kind, VerdictKind, what="verdict"))
        object.__setattr__(self, "confidence", one_of(self.confidence, Confidence, what="confidence"))
        object.__setattr__(self, "note", plain_text(self.note, what="note", limit=LONGEST_NOTE))


@dataclass(frozen=True, slots=True)
class Judged:
    """What a verdict has led to."""

    verdict_id: int
    item_id: int
    campaign_id: int
    state: ItemState
    outcome: Verdict | None


@dataclass(frozen=True, slots=True)
class _Item:
    """A locked item, its campaign and its neuron."""

    row: ReviewItem
    campaign: Campaign
    neuron_id: int
    subject_id: int


def give_verdict(
    session: Session,
    *,
    slot_id: int,
    lease_token: uuid.UUID,
    reviewer: Reviewer,
    judgement: Judgement,
    now: datetime | None = None,
) -> Judged:
    """Judge an item through a slot that the reviewer holds. One event, which also has the consequence.

    Raises LeaseExpired where the slot is no longer held, Conflict where the campaign has ended.
    """
    moment = func.now() if now is None else now
    slot = session.execute(
        update(ReviewSlot)
        .where(
            ReviewSlot.id == slot_id,
            ReviewSlot.account_id == reviewer.account_id,
            ReviewSlot.lease_token == lease_token,
            ReviewSlot.lease_until > moment,
        )
        .values(state=SlotState.JUDGED, lease_token=None, lease_until=None)
        .returning(
            ReviewSlot.item_id,
            ReviewSlot.guess,
            func.extract("epoch", moment - ReviewSlot.taken_at).label("seconds"),
        )
        .execution_options(synchronize_session=False)
    ).first()
    if slot is None:
        raise LeaseExpired
    item = _locked(session, slot.item_id)
    _require_not_ended(item.campaign)
    verdict = ReviewVerdict(
        campaign_id=item.campaign.id,
        version=item.campaign.version,
        item_id=item.row.id,
        slot_id=slot_id,
        account_id=reviewer.account_id,
        kind=judgement.kind,
        confidence=judgement.confidence,
        note=judgement.note,
        guess=slot.guess or "",
        seconds=float(slot.seconds),
        detail=judgement.detail,
    )
    session.add(verdict)
    session.flush()  # what settles the item is read from the table
    detail = {
        "verdict": judgement.kind,
        "confidence": judgement.confidence,
        "note": judgement.note,
        "guess": verdict.guess,
        "text_digest": session.scalars(_text_digest(item.row.id)).one(),
    }  # all that was said of which text: ``history verify`` compares the verdict with it
    return _settle(session, item, EventKind.VERDICT_GIVEN, reviewer.account_id, verdict.id, detail)


def stored_verdict(session: Session, *, slot_id: int, account_id: int) -> Judgement | None:
    """What this account has judged through a slot and not undone."""
    own = select(ReviewVerdict).where(
        ReviewVerdict.slot_id == slot_id, ReviewVerdict.account_id == account_id, stands()
    )
    found = session.scalar(own.order_by(ReviewVerdict.id.desc()).limit(1))
    if found is None or found.kind is None:
        return None
    return Judgement(found.kind, found.confidence or Confidence.MEDIUM, found.note, found.detail)


def undo_verdict(session: Session, *, verdict_id: int, reviewer: Reviewer, now: datetime | None = None) -> TakenSlot:
    """Undo one's own verdict by a newer row, and hold its slot again. One event.

    Raises NotFound, Conflict where it was undone already, is too old, or others have judged on the ground of it.
    """
    moment = func.now() if now is None else now
    verdict = session.get(ReviewVerdict, verdict_id) if 0 < verdict_id <= BIGGEST_ID else None
    if verdict is None or verdict.kind is None or verdict.account_id != reviewer.account_id:
        raise NotFound("You have given no such verdict.")
    item = _locked(session, verdict.item_id)
    _require_not_ended(item.campaign)
    if session.scalar(select(ReviewVerdict.id).where(ReviewVerdict.undoes_id == verdict_id)) is not None:
        raise Conflict("You have undone this verdict already.")
    still = select(ReviewVerdict.id).where(
        ReviewVerdict.id == verdict_id, ReviewVerdict.created_at + timedelta(seconds=UNDO_SECONDS) > moment
    )
    if session.scalar(still) is None:
        raise Conflict("A verdict can be undone for ten minutes. Ask an adjudicator to send the item back.")
    later = select(ReviewVerdict.id).join(ReviewSlot, ReviewSlot.id == ReviewVerdict.slot_id)
    later = later.where(ReviewVerdict.item_id == item.row.id, ReviewVerdict.id > verdict_id, stands())
    if session.scalar(later.where(ReviewSlot.kind != SlotKind.REVIEW).limit(1)) is not None:
        raise Conflict("Other verdicts are based on yours. Ask an adjudicator to send the item back.")
    session.add(
        ReviewVerdict(
            campaign_id=item.campaign.id,
            version=item.campaign.version,
            item_id=item.row.id,
            slot_id=verdict.slot_id,
            account_id=reviewer.account_id,
            undoes_id=verdict_id,
        )
    )
    session.flush()  # what settles the item is read from the table
    session.execute(
        update(ReviewSlot)
        .where(ReviewSlot.id == verdict.slot_id)
        .values(
            state=SlotState.HELD,
            lease_token=func.gen_random_uuid(),
            lease_until=moment + timedelta(seconds=LEASE_SECONDS),
            taken_at=moment,
        )
        .execution_options(synchronize_session=False)
    )
    _settle(session, item, EventKind.VERDICT_UNDONE, reviewer.account_id, verdict_id, {"verdict": verdict.kind})
    return take_item(session, item_id=item.row.id, reviewer=reviewer, now=now)


def send_back(session: Session, *, item_id: int, account_id: int, note: str) -> None:
    """Request another verdict on a settled item: a new slot, and its outcome is no longer valid. One event.

    Raises NotFound, Conflict for an item that is not settled, Invalid for an over-long note.
    """
    words = plain_text(note, what="note", limit=LONGEST_NOTE)
    item = _locked(session, item_id)
    _require_not_ended(item.campaign)
    if item.row.state != ItemState.SETTLED:
        raise Conflict("Only a settled item can be sent back.")
    same = select(ReviewItem.id).where(
        ReviewItem.campaign_id == item.campaign.id,
        ReviewItem.explanation_id == item.row.explanation_id,
        ReviewItem.source != ItemSource.CONTROL,  # that a control waits must not be seen
        ReviewItem.state.in_(UNSETTLED),
    )
    if session.scalar(same) is not None:
        raise Conflict("This explanation waits for verdicts in this campaign already.")
    _add_slot(session, item.row, SlotKind.SENT_BACK)
    before = item.row.outcome
    _store(session, item, Settlement(ItemState.DISPUTED))
    detail = {"item_id": item_id, "campaign_id": item.campaign.id, "before": before, "after": None, "note": words}
    _record(session, item, EventKind.ITEM_SENT_BACK, account_id, detail)


def _settle(
    session: Session, item: _Item, event: EventKind, account_id: int, verdict_id: int, detail: dict[str, Any]
) -> Judged:
    """Store the item's new state and add the slot that it needs; record the event."""
    required = session.scalars(
        select(func.count()).where(ReviewSlot.item_id == item.row.id, ReviewSlot.kind == SlotKind.REVIEW)
    ).one()
    found = settlement(_given(session, item.row.id), n_required=required)
    before = {"state": item.row.state, "outcome": item.row.outcome}
    waiting = _free_up(session, item.row.id, keep=found.needs)
    if found.needs is not None and not waiting:
        _add_slot(session, item.row, found.needs)
    _store(session, item, found)
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
    _record(session, item, event, account_id, detail)
    return Judged(verdict_id, item.row.id, item.campaign.id, found.state, found.outcome)


def _text_digest(item_id: int) -> Any:
    """SHA-256, in hexadecimal, of the text that reviewers of an item see."""
    shown = func.coalesce(ReviewControl.planted_text, Explanation.text)
    return (
        select(func.encode(func.sha256(func.convert_to(shown, "UTF8")), "hex"))
        .select_from(ReviewItem)
        .join(Explanation, Explanation.id == ReviewItem.explanation_id)
        .outerjoin(ReviewControl, ReviewControl.item_id == ReviewItem.id)
        .where(ReviewItem.id == item_id)
    )


def _free_up(session: Session, item_id: int, *, keep: SlotKind | None) -> bool:
    """Remove free slots beyond the required ones but of the kind to keep; whether one of that kind is waiting."""
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


def _store(session: Session, item: _Item, found: Settlement) -> None:
    """The item's state and outcome; for a flagged explanation also what follows from them."""
    was_settled, is_settled = item.row.state == ItemState.SETTLED, found.state is ItemState.SETTLED
    item.row.state, item.row.outcome = found.state, found.outcome
    item.row.settled_at = func.now() if is_settled else None
    session.flush()  # a check constraint spans the columns, and other statements read them
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
        reject_or_not(session, explanation_id=item.row.explanation_id, neuron_id=item.neuron_id)


def reject_or_not(session: Session, *, explanation_id: int, neuron_id: int) -> None:
    """Reject an explanation or undo that, by what reviewers have settled last; then update which one is shown first.

    A campaign's outcome rejects where the explanation fails, a flag's also where it holds partly: that is what the
    flag says. Controls are about planted texts and decide nothing.
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
        session.flush()  # before another item takes its place
    if wanted is not None:
        session.add(RejectedExplanation(explanation_id=explanation_id, item_id=wanted))
        session.flush()  # what is shown first depends on it
    if (wanted is None) != (before is None):
        refresh_current(session, neuron_id=neuron_id)


def _add_slot(session: Session, item: ReviewItem, kind: SlotKind) -> None:
    number = session.scalars(select(func.max(ReviewSlot.number)).where(ReviewSlot.item_id == item.id)).one() or 0
    session.add(
        ReviewSlot(item_id=item.id, campaign_id=item.campaign_id, position=item.position, number=number + 1, kind=kind)
    )
    session.flush()  # later statements of this transaction look for it


def _locked(session: Session, item_id: int) -> _Item:
    """An item, locked: those who judge it at the same time come one after the other, and see each other's verdicts.

    Its neuron is locked before it, in the order in which a flag is opened: otherwise the two could wait for each other.
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
    return _Item(*row)


def _require_not_ended(campaign: Campaign) -> None:
    if campaign.state == CampaignState.ENDED:
        raise Conflict("This campaign has ended. Its verdicts are final.")


def _record(session: Session, item: _Item, kind: EventKind, account_id: int, detail: dict[str, Any]) -> None:
    record_event(
        session,
        kind=kind,
        account_id=account_id,
        subject_id=item.subject_id,
        neuron_id=item.neuron_id,
        detail=detail,
    )
