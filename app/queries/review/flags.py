"""Flags: complaints about explanations. Each flagged explanation is an item of the standing campaign."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from app.domain.bounds import BIGGEST_ID, LONGEST_NOTE
from app.domain.events import EventKind
from app.domain.flags import FlagReason
from app.domain.review import UNSETTLED, ItemSource
from app.errors import Conflict, NotFound
from app.models import Campaign, Explanation, Flag, Neuron, ReviewItem, ReviewVerdict
from app.queries.common.inputs import one_of, plain_text
from app.queries.history.events import record_event, record_neuron_event
from app.queries.review.campaigns import standing_campaign_id
from app.queries.review.items import ItemsWanted, insert_items, lock_slots, withdraw, withdraw_items, withdrawn_copy
from app.queries.review.judging import Judgement, give_verdict
from app.queries.review.settling import Judged
from app.queries.review.taking import Reviewer, take_item


@dataclass(frozen=True, slots=True)
class _Flagged:
    """The neuron and subject of a flagged explanation."""

    neuron_id: int
    subject_id: int


_INSERT_FLAGS = text("""
    INSERT INTO flag (explanation_id, account_id, reason, note, item_id)
    SELECT item.explanation_id, :account_id, :reason, :note, item.id FROM review_item AS item
    WHERE item.draw_id = :draw_id RETURNING item_id
""")
_COUNT_FLAGS = text("""
    UPDATE neuron SET n_open_flags = n_open_flags + counted.n * :sign
    FROM (
        SELECT explanation.neuron_id, count(*) AS n FROM flag
        JOIN explanation ON explanation.id = flag.explanation_id
        WHERE flag.item_id = ANY(:item_ids) GROUP BY explanation.neuron_id
    ) AS counted
    WHERE neuron.id = counted.neuron_id
""")


def open_flag(session: Session, *, explanation_id: int, account_id: int, reason: str, note: str) -> int:
    """Open a flag against an explanation. Returns the flag's id.

    Raises NotFound for an unknown explanation, Invalid for an unknown reason or an over-long note, Conflict if the
    account already has an open flag with this reason against the explanation.
    """
    wanted = one_of(reason, FlagReason, what="reason")
    words = plain_text(note, what="note", limit=LONGEST_NOTE)
    flagged = _flagged(session, explanation_id)
    # The neuron's row is locked first, so that of two concurrent requests the second sees the first one's flag.
    session.execute(update(Neuron).where(Neuron.id == flagged.neuron_id).values(n_open_flags=Neuron.n_open_flags + 1))
    same = (
        select(Flag.id)
        .join(ReviewItem, ReviewItem.id == Flag.item_id)
        .where(
            Flag.explanation_id == explanation_id,
            Flag.account_id == account_id,
            Flag.reason == wanted,
            ReviewItem.state.in_(UNSETTLED),
        )
    )
    if session.scalar(same.limit(1)) is not None:
        raise Conflict("You have already flagged this explanation for this reason. The flag is still open.")
    item_id = _standing_item(session, explanation_id, account_id)
    flag = Flag(explanation_id=explanation_id, account_id=account_id, reason=wanted, note=words, item_id=item_id)
    session.add(flag)
    session.flush()  # the event and the caller need its id
    detail = {"flag_id": flag.id, "item_id": item_id, "reason": wanted, "note": words}
    record_neuron_event(session, kind=EventKind.FLAG_OPENED, about=flagged, account_id=account_id, detail=detail)
    return flag.id


def open_flags(
    session: Session, *, explanation_ids: Sequence[int], subject_id: int, account_id: int, reason: str, note: str
) -> tuple[int, int]:
    """Flag many explanations of a subject; returns the draw's id, for undoing it, and the number of flags.

    Explanations that already are unsettled items of the standing campaign are left out. One event. Raises as
    ``open_flag`` does, and Conflict if nothing is left to flag.
    """
    wanted = one_of(reason, FlagReason, what="reason")
    words = plain_text(note, what="note", limit=LONGEST_NOTE)
    campaign = session.get_one(Campaign, standing_campaign_id(session))
    parameters = {"reason": wanted, "note": words}
    added = insert_items(
        session,
        campaign=campaign,
        wanted=ItemsWanted(ItemSource.FLAG, explanation_ids, parameters),
        account_id=account_id,
    )
    if not added.n_items:
        raise Conflict("All of these explanations are flagged already.")
    values = {"draw_id": added.draw_id, "account_id": account_id, **parameters}
    item_ids = list(session.scalars(_INSERT_FLAGS, values))
    session.execute(_COUNT_FLAGS, {"item_ids": item_ids, "sign": 1})
    detail = {"draw_id": added.draw_id, "n_flags": added.n_items, **parameters}
    record_event(session, kind=EventKind.FLAGS_OPENED, account_id=account_id, subject_id=subject_id, detail=detail)
    return added.draw_id, added.n_items


def withdraw_flags(session: Session, *, draw_id: int, account_id: int) -> int:
    """Undo ``open_flags`` for items that are not judged. Returns the number of removed items. One event.

    Raises NotFound, Conflict if no item can be removed.
    """
    withdrawn = withdraw_items(session, draw_id=draw_id, account_id=account_id)
    session.execute(_COUNT_FLAGS, {"item_ids": withdrawn, "sign": -1})
    return len(withdrawn)


def withdraw_flag(session: Session, *, flag_id: int, account_id: int) -> None:
    """Undo ``open_flag``, if nobody has judged the explanation since. One event.

    A flag is open as long as its item. If others have flagged the explanation too, their flags keep the item, and this
    flag moves to a withdrawn item of its own. Raises NotFound, also for somebody else's flag, and Conflict for a flag
    that is settled or withdrawn, or whose explanation has a verdict.
    """
    flag = session.get(Flag, flag_id) if 0 < flag_id <= BIGGEST_ID else None
    if flag is None or flag.account_id != account_id:
        raise NotFound("You have opened no such flag.")
    flagged = _flagged(session, flag.explanation_id)
    lock_slots(session, item_ids=[flag.item_id])
    session.execute(update(Neuron).where(Neuron.id == flagged.neuron_id).values(n_open_flags=Neuron.n_open_flags - 1))
    session.refresh(flag, with_for_update=True)
    item = session.get_one(ReviewItem, flag.item_id, with_for_update=True, populate_existing=True)
    if item.state not in UNSETTLED:
        raise Conflict("This flag is not open any more.")
    if session.scalar(select(ReviewVerdict.id).where(ReviewVerdict.item_id == item.id).limit(1)) is not None:
        raise Conflict("A reviewer has judged this explanation since. Its verdict settles the flag.")
    others = select(Flag.id).where(Flag.item_id == item.id, Flag.id != flag_id)
    if session.scalar(others.limit(1)) is None:
        withdraw(session, item_ids=[item.id])
    else:
        flag.item_id = withdrawn_copy(session, item=item)
    detail = {"flag_id": flag_id, "item_id": item.id, "reason": flag.reason}
    record_neuron_event(session, kind=EventKind.FLAG_WITHDRAWN, about=flagged, account_id=account_id, detail=detail)


def resolve_flag(session: Session, *, flag_id: int, reviewer: Reviewer, kind: str, note: str) -> Judged:
    """Judge a flagged explanation. If the standing campaign requires one verdict, that resolves the flags.

    Raises NotFound for an unknown flag, Conflict if it is resolved already or somebody else holds the item, Invalid for
    an unknown verdict or an over-long note. The caller must have checked that the account may judge.
    """
    judgement = Judgement(kind, note=note)
    found = session.get(Flag, flag_id) if 0 < flag_id <= BIGGEST_ID else None
    if found is None:
        raise NotFound("There is no such flag.")
    if session.get_one(ReviewItem, found.item_id, populate_existing=True).state not in UNSETTLED:
        raise Conflict("This flag is already resolved. Its verdict is in the list of resolved flags.")
    slot = take_item(session, item_id=found.item_id, reviewer=reviewer)
    return give_verdict(session, slot_id=slot.id, lease_token=slot.lease_token, reviewer=reviewer, judgement=judgement)


def _standing_item(session: Session, explanation_id: int, account_id: int) -> int:
    """The unsettled item of an explanation in the standing campaign, created if there is none."""
    campaign = session.get_one(Campaign, standing_campaign_id(session))
    unsettled = select(ReviewItem.id).where(
        ReviewItem.campaign_id == campaign.id,
        ReviewItem.explanation_id == explanation_id,
        ReviewItem.state.in_(UNSETTLED),
    )
    item_id = session.scalar(unsettled)
    if item_id is None:
        insert_items(
            session, campaign=campaign, wanted=ItemsWanted(ItemSource.FLAG, [explanation_id]), account_id=account_id
        )
        item_id = session.scalars(unsettled).one()
    return item_id


def _flagged(session: Session, explanation_id: int) -> _Flagged:
    if 0 < explanation_id <= BIGGEST_ID:
        row = session.execute(
            select(Neuron.id, Neuron.subject_id)
            .join(Explanation, Explanation.neuron_id == Neuron.id)
            .where(Explanation.id == explanation_id)
        ).first()
        if row is not None:
            return _Flagged(row.id, row.subject_id)
    raise NotFound("There is no such explanation.")
