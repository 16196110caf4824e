"""A reviewer's own verdicts and progress in a campaign."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, bindparam, func, select
from sqlalchemy.orm import Session

from app.domain.review import UNDO_SECONDS, CampaignState, Confidence, ItemState, SlotState, Verdict, VerdictKind
from app.models import Campaign, Explanation, ReviewControl, ReviewItem, ReviewSlot, ReviewVerdict
from app.queries.common.paging import Page, id_page
from app.queries.common.prepared import PendingRows, PreparedSelect, Reads, one_statement
from app.queries.review.live import stands
from app.queries.review.shown import SHOWN_TEXT


@dataclass(frozen=True, slots=True)
class OwnVerdict:
    """One of a reviewer's own verdicts, with the judged text and the item's outcome."""

    id: int
    item_id: int
    campaign_id: int
    campaign: str
    text: str
    kind: VerdictKind
    confidence: Confidence
    note: str
    guess: str
    created_at: datetime
    state: ItemState
    outcome: Verdict | None
    may_be_undone: bool


@dataclass(frozen=True, slots=True)
class OwnProgress:
    """One reviewer's progress in a campaign."""

    n_judged: int
    n_items: int


def own_verdicts(
    session: Session,
    *,
    account_id: int,
    size: int,
    campaign_id: int | None = None,
    after: str | None = None,
    before: str | None = None,
) -> Page[OwnVerdict]:
    """A reviewer's verdicts that were not undone, newest first. Raises Invalid for a malformed cursor.

    Outcomes may be shown, since the reviewer has already given a verdict.
    """
    wanted: list[ColumnElement[bool]] = [ReviewVerdict.account_id == account_id, stands()]
    if campaign_id is not None:
        wanted.append(ReviewVerdict.campaign_id == campaign_id)

    def read(conditions: Sequence[ColumnElement[bool]], newest_first: bool, limit: int) -> list[OwnVerdict]:
        found = _own_verdicts().where(*wanted, *conditions)
        ordered = found.order_by(ReviewVerdict.id.desc() if newest_first else ReviewVerdict.id)
        return [_own(row) for row in session.execute(ordered.limit(limit))]

    return id_page(read, ReviewVerdict.id, size=size, after=after, before=before)


@dataclass(frozen=True, slots=True)
class OwnStanding:
    """A reviewer's progress in a campaign, and the newest verdict there."""

    progress: OwnProgress
    last: OwnVerdict | None


@dataclass(frozen=True, slots=True)
class PendingStanding:
    """A reviewer's standing, available after the statement that reads it."""

    progress: PendingRows[OwnProgress]
    last: PendingRows[OwnVerdict]

    def found(self) -> OwnStanding:
        """The standing."""
        return OwnStanding(self.progress.rows[0], self.last.rows[0] if self.last.rows else None)


def send_own_standing(asked: Reads, *, campaign_id: int, account_id: int) -> PendingStanding:
    """Add the queries of a reviewer's standing in a campaign to a statement."""
    wanted = {"campaign_id": campaign_id, "account_id": account_id}
    return PendingStanding(asked.send(_PROGRESS.given(**wanted)), asked.send(_LAST.given(**wanted)))


def own_standing(session: Session, *, campaign_id: int, account_id: int) -> OwnStanding:
    """A reviewer's progress in a campaign, and the newest verdict there. One query."""
    with one_statement(session) as asked:
        pending = send_own_standing(asked, campaign_id=campaign_id, account_id=account_id)
    return pending.found()


def _own_verdicts() -> Select[*tuple[Any, ...]]:
    """Verdicts with the columns of ``OwnVerdict``."""
    is_young = func.extract("epoch", func.now() - ReviewVerdict.created_at) < UNDO_SECONDS
    return (
        select(
            ReviewVerdict.id,
            ReviewVerdict.item_id,
            ReviewVerdict.campaign_id,
            Campaign.name.label("campaign"),
            SHOWN_TEXT.label("text"),
            ReviewVerdict.kind,
            ReviewVerdict.confidence,
            ReviewVerdict.note,
            ReviewVerdict.guess,
            ReviewVerdict.created_at,
            ReviewItem.state,
            ReviewItem.outcome,
            (is_young & (Campaign.state != CampaignState.ENDED)).label("may_be_undone"),
        )
        .join(ReviewItem, ReviewItem.id == ReviewVerdict.item_id)
        .join(Campaign, Campaign.id == ReviewItem.campaign_id)
        .join(Explanation, Explanation.id == ReviewItem.explanation_id)
        .outerjoin(ReviewControl, ReviewControl.item_id == ReviewItem.id)
    )


def _own(row: Any) -> OwnVerdict:
    return OwnVerdict(
        id=row.id,
        item_id=row.item_id,
        campaign_id=row.campaign_id,
        campaign=row.campaign,
        text=row.text,
        kind=VerdictKind(row.kind),
        confidence=Confidence(row.confidence),
        note=row.note,
        guess=row.guess,
        created_at=row.created_at,
        state=ItemState(row.state),
        outcome=None if row.outcome is None else Verdict(row.outcome),
        may_be_undone=row.may_be_undone,
    )


_CAMPAIGN_ID, _ACCOUNT_ID = bindparam("campaign_id", type_=BigInteger), bindparam("account_id", type_=BigInteger)
_PROGRESS = PreparedSelect(
    OwnProgress,
    select(
        select(func.count())
        .select_from(ReviewSlot)
        .where(
            ReviewSlot.campaign_id == _CAMPAIGN_ID,
            ReviewSlot.account_id == _ACCOUNT_ID,
            ReviewSlot.state == SlotState.JUDGED,
        )
        .scalar_subquery()
        .label("n_judged"),
        select(func.count())
        .select_from(ReviewItem)
        .where(ReviewItem.campaign_id == _CAMPAIGN_ID, ReviewItem.state != ItemState.WITHDRAWN)
        .scalar_subquery()
        .label("n_items"),
    ),
)
_LAST = PreparedSelect(
    OwnVerdict,
    _own_verdicts()
    .where(ReviewVerdict.account_id == _ACCOUNT_ID, ReviewVerdict.campaign_id == _CAMPAIGN_ID, stands())
    .order_by(ReviewVerdict.id.desc())
    .limit(1),
)
