"""The assignment of items to reviewers: items are taken by one atomic statement and held under a lease.

Every function that gives or renews a lease takes ``now``, which replaces the database's clock in tests.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, exists, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.domain.bounds import BIGGEST_ID, LONGEST_GUESS
from app.domain.review import LEASE_SECONDS, UNSETTLED, CampaignState, SlotKind, SlotState
from app.errors import Conflict, Forbidden, NotFound
from app.models import Account, ReviewItem, ReviewSkip, ReviewSlot
from app.models.base import is_one_of
from app.queries.common.inputs import plain_text
from app.queries.review.campaigns import CampaignHead, campaign_head


class LeaseExpired(Conflict):
    """You no longer hold this item: five minutes went by without a sign from your page. What you wrote is kept here."""


@dataclass(frozen=True, slots=True)
class Reviewer:
    """The account that takes items."""

    account_id: int
    may_adjudicate: bool = False


@dataclass(frozen=True, slots=True)
class TakenSlot:
    """A slot that a reviewer holds until ``lease_until``. ``lease_token`` proves that."""

    id: int
    item_id: int
    campaign_id: int
    kind: SlotKind
    lease_token: uuid.UUID
    lease_until: datetime
    guess: str | None
    """None until the text was shown."""


_UNSETTLED = is_one_of("item.state", UNSETTLED)
_TAKEN = "id, item_id, campaign_id, kind, lease_token, lease_until, guess"
# One statement finds a free slot, locks it and takes it. Concurrent requests skip the locked slot.
_TAKE = """
    UPDATE review_slot SET state = '{slots.HELD}', account_id = :account_id, lease_token = gen_random_uuid(),
        lease_until = {now} + make_interval(secs => :lease_seconds), taken_at = {now}, guess = NULL
    WHERE id = (
        SELECT slot.id FROM review_slot AS slot
        JOIN review_item AS item ON item.id = slot.item_id
        JOIN explanation ON explanation.id = item.explanation_id
        WHERE {scope} AND slot.state <> '{slots.JUDGED}' AND (slot.state = '{slots.FREE}' OR slot.lease_until <= {now})
            AND {unsettled}
            AND explanation.account_id IS DISTINCT FROM :account_id
            AND (slot.kind <> '{kinds.ADJUDICATION}' OR :may_adjudicate)
            AND NOT EXISTS (
                SELECT FROM review_slot AS mine
                WHERE mine.item_id = slot.item_id AND mine.account_id = :account_id AND mine.id <> slot.id)
            AND {skipped}
        ORDER BY {order} LIMIT 1 FOR UPDATE OF slot SKIP LOCKED)
    RETURNING {taken}
"""
_NOW = "coalesce(CAST(:now AS timestamptz), now())"
_SKIPPED = "SELECT {what} FROM review_skip AS skip WHERE skip.item_id = slot.item_id AND skip.account_id = :account_id"


def _take_statement(*, scope: str, skipped: str, order: str) -> Any:
    parts = {"now": _NOW, "scope": scope, "skipped": skipped, "order": order, "taken": _TAKEN, "unsettled": _UNSETTLED}
    return text(_TAKE.format(**parts, slots=SlotState, kinds=SlotKind))


_IN_CAMPAIGN = "slot.campaign_id = :campaign_id"
_NEXT = _take_statement(
    scope=_IN_CAMPAIGN,
    skipped=f"NOT EXISTS ({_SKIPPED.format(what='')})",
    order="slot.position, slot.id",
)
_PUT_OFF = _take_statement(
    scope=_IN_CAMPAIGN,
    skipped=f"EXISTS ({_SKIPPED.format(what='')})",
    order=f"({_SKIPPED.format(what='skip.skipped_at')}), slot.id",
)
_OF_ITEM = _take_statement(scope="slot.item_id = :item_id", skipped="true", order="slot.number")


def take_next(
    session: Session,
    *,
    campaign_id: int,
    reviewer: Reviewer,
    besides: int | None = None,
    now: datetime | None = None,
) -> TakenSlot | None:
    """The slot that the reviewer holds in this campaign, or else the next free one, taken; None if nothing is left.

    ``besides`` is the id of a held slot to ignore, so that the next slot is taken ahead. Skipped items come when
    nothing else is left. Nobody gets an item twice, or their own explanation.

    Raises NotFound, Forbidden for an account that may not take part, Conflict for a campaign that is not open.
    """
    _require_open(campaign_head(session, campaign_id=campaign_id), reviewer)
    # Serialises the requests of one reviewer, so that they cannot take two slots of one item.
    session.execute(select(Account.id).where(Account.id == reviewer.account_id).with_for_update(key_share=True))
    held = _held(session, campaign_id, reviewer, besides, now)
    if held is not None:
        return held
    values = _values(reviewer, now) | {"campaign_id": campaign_id}
    for statement in (_NEXT, _PUT_OFF):
        row = session.execute(statement, values).first()
        if row is not None:
            return _taken(row)
    return None


def take_item(session: Session, *, item_id: int, reviewer: Reviewer, now: datetime | None = None) -> TakenSlot:
    """A slot of this very item, held already or taken now.

    Raises NotFound, Forbidden, and Conflict if the item has no slot for this reviewer.
    """
    item = session.get(ReviewItem, item_id) if 0 < item_id <= BIGGEST_ID else None
    if item is None:
        raise NotFound("There is no such item.")
    _require_open(campaign_head(session, campaign_id=item.campaign_id), reviewer)
    session.execute(select(Account.id).where(Account.id == reviewer.account_id).with_for_update(key_share=True))
    held = session.execute(_live(reviewer, now).where(ReviewSlot.item_id == item_id)).first()
    row = held or session.execute(_OF_ITEM, _values(reviewer, now) | {"item_id": item_id}).first()
    if row is None:
        raise Conflict(_why_not(session, item, reviewer))
    return _taken(row)


def renew(
    session: Session, *, slot_id: int, lease_token: uuid.UUID, reviewer: Reviewer, now: datetime | None = None
) -> datetime | None:
    """Hold a slot, and the one that the reviewer has taken ahead, for five more minutes; returns the end of the lease.

    None if this reviewer has just judged or skipped the item: a page may send its last renewal together with its
    verdict, and the two may arrive in either order. Raises LeaseExpired.
    """
    until: datetime | None = session.scalar(
        _fenced(slot_id, lease_token, reviewer, now)
        .values(lease_until=_clock(now) + func.make_interval(0, 0, 0, 0, 0, 0, LEASE_SECONDS))
        .returning(ReviewSlot.lease_until)
    )
    if until is None and not _was_done_with(session, slot_id, reviewer, now):
        raise LeaseExpired
    if until is None:
        return None
    # The item taken ahead stays held as long as the page is open, too.
    session.execute(
        update(ReviewSlot)
        .where(
            ReviewSlot.account_id == reviewer.account_id,
            ReviewSlot.state == SlotState.HELD,
            ReviewSlot.lease_until > _clock(now),
        )
        .values(lease_until=until)
        .execution_options(synchronize_session=False)
    )
    return until


def keep_guess(
    session: Session,
    *,
    slot_id: int,
    lease_token: uuid.UUID,
    reviewer: Reviewer,
    guess: str,
    now: datetime | None = None,
) -> None:
    """Store the reviewer's guess, possibly empty; from now on the text may be shown.

    Only the first guess is stored: the one written before the text was seen. Raises LeaseExpired, Invalid.
    """
    words = plain_text(guess, what="guess", limit=LONGEST_GUESS)
    kept = session.scalar(
        _fenced(slot_id, lease_token, reviewer, now)
        .values(guess=func.coalesce(ReviewSlot.guess, words))
        .returning(ReviewSlot.id)
    )
    if kept is None:
        raise LeaseExpired


def skip(
    session: Session, *, slot_id: int, lease_token: uuid.UUID, reviewer: Reviewer, now: datetime | None = None
) -> None:
    """Release a slot unjudged; this reviewer gets its item again when nothing else is left. Raises LeaseExpired."""
    item_id = session.scalar(
        _fenced(slot_id, lease_token, reviewer, now)
        .values(state=SlotState.FREE, account_id=None, lease_token=None, lease_until=None, taken_at=None, guess=None)
        .returning(ReviewSlot.item_id)
    )
    if item_id is None:
        raise LeaseExpired
    moment = {"skipped_at": _clock(now)}
    skipped = insert(ReviewSkip).values(item_id=item_id, account_id=reviewer.account_id, **moment)
    session.execute(skipped.on_conflict_do_update(index_elements=["item_id", "account_id"], set_=moment))


def held_slot(session: Session, *, slot_id: int, reviewer: Reviewer, now: datetime | None = None) -> TakenSlot | None:
    """The slot of this id, if the reviewer holds it."""
    if not 0 < slot_id <= BIGGEST_ID:
        return None
    row = session.execute(_live(reviewer, now).where(ReviewSlot.id == slot_id)).first()
    return None if row is None else _taken(row)


def item_of_slot(session: Session, *, slot_id: int) -> int:
    """The item that a slot belongs to. Raises NotFound."""
    item_id = session.scalar(select(ReviewSlot.item_id).where(ReviewSlot.id == slot_id))
    if item_id is None:
        raise NotFound("This item was taken out of its campaign. Take the next one from the campaign's page.")
    return item_id


def _held(
    session: Session, campaign_id: int, reviewer: Reviewer, besides: int | None, now: datetime | None
) -> TakenSlot | None:
    held = _live(reviewer, now).where(ReviewSlot.campaign_id == campaign_id)
    if besides is not None:
        held = held.where(ReviewSlot.id != besides)
    row = session.execute(held.order_by(ReviewSlot.taken_at, ReviewSlot.id).limit(1)).first()
    return None if row is None else _taken(row)


def _live(reviewer: Reviewer, now: datetime | None) -> Any:
    """Slots that the reviewer holds under an unexpired lease."""
    columns = [getattr(ReviewSlot, name) for name in _TAKEN.split(", ")]
    return select(*columns).where(
        ReviewSlot.account_id == reviewer.account_id,
        ReviewSlot.state == SlotState.HELD,
        ReviewSlot.lease_until > _clock(now),
    )


def _fenced(slot_id: int, lease_token: uuid.UUID, reviewer: Reviewer, now: datetime | None) -> Any:
    """An update of a slot that changes nothing unless the reviewer still holds it."""
    return update(ReviewSlot).where(
        ReviewSlot.id == slot_id,
        ReviewSlot.account_id == reviewer.account_id,
        ReviewSlot.lease_token == lease_token,
        ReviewSlot.state == SlotState.HELD,
        ReviewSlot.lease_until > _clock(now),
    )


def _was_done_with(session: Session, slot_id: int, reviewer: Reviewer, now: datetime | None) -> bool:
    """Whether the reviewer has judged this slot, or has skipped its item within the time of one lease."""
    judged = and_(ReviewSlot.account_id == reviewer.account_id, ReviewSlot.state == SlotState.JUDGED)
    skipped = exists().where(
        ReviewSkip.item_id == ReviewSlot.item_id,
        ReviewSkip.account_id == reviewer.account_id,
        ReviewSkip.skipped_at > _clock(now) - timedelta(seconds=LEASE_SECONDS),
    )
    found = select(ReviewSlot.id).where(ReviewSlot.id == slot_id, or_(judged, skipped))
    return session.scalar(found) is not None


def _clock(now: datetime | None) -> Any:
    return func.now() if now is None else now


def _values(reviewer: Reviewer, now: datetime | None) -> dict[str, object]:
    return {
        "account_id": reviewer.account_id,
        "may_adjudicate": reviewer.may_adjudicate,
        "lease_seconds": LEASE_SECONDS,
        "now": now,
    }


def _taken(row: Any) -> TakenSlot:
    return TakenSlot(
        row.id, row.item_id, row.campaign_id, SlotKind(row.kind), row.lease_token, row.lease_until, row.guess
    )


def _require_open(campaign: CampaignHead, reviewer: Reviewer) -> None:
    if not campaign.lets_take_part(reviewer.account_id):
        raise Forbidden("You are not among the accounts that this campaign names.")
    if campaign.state is CampaignState.PREPARING:
        raise Conflict("A worker is still preparing this campaign. Come back in a moment.")
    if campaign.state is CampaignState.ENDED:
        raise Conflict("This campaign has ended.")


def _why_not(session: Session, item: ReviewItem, reviewer: Reviewer) -> str:
    if item.state not in UNSETTLED:
        return f"This item is {item.state}."
    mine = select(ReviewSlot.id).where(ReviewSlot.item_id == item.id, ReviewSlot.account_id == reviewer.account_id)
    if session.scalar(mine) is not None:
        return "You have judged this item already. Somebody else has to."
    return "This item is for somebody else now: it is held, needs an adjudicator, or is about your own explanation."
