"""Verdicts: given, undone by a newer row, requested again. See ``app.domain.review.settlement`` for the rule."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.domain.bounds import BIGGEST_ID, LONGEST_NOTE
from app.domain.events import EventKind
from app.domain.review import (
    LEASE_SECONDS,
    UNDO_SECONDS,
    UNSETTLED,
    Confidence,
    ItemSource,
    ItemState,
    Settlement,
    SlotKind,
    SlotState,
    VerdictKind,
)
from app.errors import Conflict, NotFound
from app.models import (
    Explanation,
    ReviewControl,
    ReviewItem,
    ReviewSlot,
    ReviewVerdict,
)
from app.queries.common.inputs import one_of, plain_text
from app.queries.history.events import record_neuron_event
from app.queries.review.live import stands
from app.queries.review.settling import (
    Judged,
    add_slot,
    locked_item,
    require_not_ended,
    settle,
    store_settlement,
)
from app.queries.review.taking import LeaseExpired, Reviewer, TakenSlot, take_item


@dataclass(frozen=True, slots=True)
class Judgement:
    """A reviewer's judgement, validated. Raises Invalid for unknown words and for a note that is too long."""

    kind: str
    confidence: str = Confidence.MEDIUM
    note: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
    """For a language model's verdict, see ``ReviewVerdict.detail``."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", one_of(self.kind, VerdictKind, what="verdict"))
        object.__setattr__(self, "confidence", one_of(self.confidence, Confidence, what="confidence"))
        object.__setattr__(self, "note", plain_text(self.note, what="note", limit=LONGEST_NOTE))


def give_verdict(
    session: Session,
    *,
    slot_id: int,
    lease_token: uuid.UUID,
    reviewer: Reviewer,
    judgement: Judgement,
    now: datetime | None = None,
) -> Judged:
    """Judge an item through a slot that the reviewer holds. One event, which also records the consequences.

    Raises LeaseExpired if the slot is no longer held, Conflict if the campaign has ended.
    """
    slot = _judged_slot(session, slot_id, lease_token, reviewer, func.now() if now is None else now)
    item = locked_item(session, slot.item_id)
    require_not_ended(item.campaign)
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
    session.flush()  # settlement reads the verdicts from the table
    detail = {
        "verdict": judgement.kind,
        "confidence": judgement.confidence,
        "note": judgement.note,
        "guess": verdict.guess,
        "text_digest": session.scalars(_text_digest(item.row.id)).one(),
    }  # the text and the whole verdict, which ``history verify`` compares with the row
    return settle(session, item, EventKind.VERDICT_GIVEN, reviewer.account_id, verdict.id, detail)


def _judged_slot(session: Session, slot_id: int, lease_token: uuid.UUID, reviewer: Reviewer, moment: Any) -> Any:
    """Mark a held slot as judged; returns its item, guess and the seconds for which it was held.

    Raises LeaseExpired.
    """
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
    return slot


def stored_verdict(session: Session, *, slot_id: int, account_id: int) -> Judgement | None:
    """This account's verdict through a slot, if it was not undone."""
    own = select(ReviewVerdict).where(
        ReviewVerdict.slot_id == slot_id, ReviewVerdict.account_id == account_id, stands()
    )
    found = session.scalar(own.order_by(ReviewVerdict.id.desc()).limit(1))
    if found is None or found.kind is None:
        return None
    return Judgement(found.kind, found.confidence or Confidence.MEDIUM, found.note, found.detail)


def undo_verdict(session: Session, *, verdict_id: int, reviewer: Reviewer, now: datetime | None = None) -> TakenSlot:
    """Undo the reviewer's own verdict by a newer row, and hold its slot again. One event.

    Raises NotFound, Conflict if it was already undone, is too old, or other verdicts depend on it.
    """
    moment = func.now() if now is None else now
    verdict = session.get(ReviewVerdict, verdict_id) if 0 < verdict_id <= BIGGEST_ID else None
    if verdict is None or verdict.kind is None or verdict.account_id != reviewer.account_id:
        raise NotFound("You have given no such verdict.")
    item = locked_item(session, verdict.item_id)
    require_not_ended(item.campaign)
    _require_undoable(session, verdict_id, item.row.id, moment)
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
    session.flush()  # settlement reads the verdicts from the table
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
    settle(session, item, EventKind.VERDICT_UNDONE, reviewer.account_id, verdict_id, {"verdict": verdict.kind})
    return take_item(session, item_id=item.row.id, reviewer=reviewer, now=now)


def _require_undoable(session: Session, verdict_id: int, item_id: int, moment: Any) -> None:
    """Raise Conflict if a verdict was already undone, is too old, or other verdicts depend on it."""
    if session.scalar(select(ReviewVerdict.id).where(ReviewVerdict.undoes_id == verdict_id)) is not None:
        raise Conflict("You have undone this verdict already.")
    still = select(ReviewVerdict.id).where(
        ReviewVerdict.id == verdict_id, ReviewVerdict.created_at + timedelta(seconds=UNDO_SECONDS) > moment
    )
    if session.scalar(still) is None:
        raise Conflict("A verdict can be undone for ten minutes. Ask an adjudicator to send the item back.")
    later = select(ReviewVerdict.id).join(ReviewSlot, ReviewSlot.id == ReviewVerdict.slot_id)
    later = later.where(ReviewVerdict.item_id == item_id, ReviewVerdict.id > verdict_id, stands())
    if session.scalar(later.where(ReviewSlot.kind != SlotKind.REVIEW).limit(1)) is not None:
        raise Conflict("Other verdicts are based on yours. Ask an adjudicator to send the item back.")


def send_back(session: Session, *, item_id: int, account_id: int, note: str) -> None:
    """Request another verdict on a settled item: adds a slot and clears the outcome. One event.

    Raises NotFound, Conflict for an item that is not settled, Invalid for an over-long note.
    """
    words = plain_text(note, what="note", limit=LONGEST_NOTE)
    item = locked_item(session, item_id)
    require_not_ended(item.campaign)
    if item.row.state != ItemState.SETTLED:
        raise Conflict("Only a settled item can be sent back.")
    same = select(ReviewItem.id).where(
        ReviewItem.campaign_id == item.campaign.id,
        ReviewItem.explanation_id == item.row.explanation_id,
        ReviewItem.source != ItemSource.CONTROL,  # must not reveal that a control is open again
        ReviewItem.state.in_(UNSETTLED),
    )
    if session.scalar(same) is not None:
        raise Conflict("This explanation waits for verdicts in this campaign already.")
    add_slot(session, item.row, SlotKind.SENT_BACK)
    before = item.row.outcome
    store_settlement(session, item, Settlement(ItemState.DISPUTED))
    detail = {"item_id": item_id, "campaign_id": item.campaign.id, "before": before, "after": None, "note": words}
    record_neuron_event(session, kind=EventKind.ITEM_SENT_BACK, about=item, account_id=account_id, detail=detail)


def _text_digest(item_id: int) -> Any:
    """SHA-256, in hexadecimal, of the text that reviewers of an item read."""
    shown = func.coalesce(ReviewControl.planted_text, Explanation.text)
    return (
        select(func.encode(func.sha256(func.convert_to(shown, "UTF8")), "hex"))
        .select_from(ReviewItem)
        .join(Explanation, Explanation.id == ReviewItem.explanation_id)
        .outerjoin(ReviewControl, ReviewControl.item_id == ReviewItem.id)
        .where(ReviewItem.id == item_id)
    )
