"""A reviewer's own verdicts and progress in a campaign."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from app.domain.review import UNDO_SECONDS, CampaignState, Confidence, ItemState, SlotState, Verdict, VerdictKind
from app.models import Campaign, Explanation, ReviewControl, ReviewItem, ReviewSlot, ReviewVerdict
from app.queries.common.paging import Page, id_page
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
        rows = session.execute(
            select(
                ReviewVerdict,
                Campaign.name.label("campaign"),
                Campaign.state.label("campaign_state"),
                SHOWN_TEXT.label("text"),
                ReviewItem.state,
                ReviewItem.outcome,
                (func.extract("epoch", func.now() - ReviewVerdict.created_at) < UNDO_SECONDS).label("is_young"),
            )
            .join(ReviewItem, ReviewItem.id == ReviewVerdict.item_id)
            .join(Campaign, Campaign.id == ReviewItem.campaign_id)
            .join(Explanation, Explanation.id == ReviewItem.explanation_id)
            .outerjoin(ReviewControl, ReviewControl.item_id == ReviewItem.id)
            .where(*wanted, *conditions)
            .order_by(ReviewVerdict.id.desc() if newest_first else ReviewVerdict.id)
            .limit(limit)
        )
        return [_own(row) for row in rows]

    return id_page(read, ReviewVerdict.id, size=size, after=after, before=before)


def own_progress(session: Session, *, campaign_id: int, account_id: int) -> OwnProgress:
    """The number of items that a reviewer has judged, and of all items of the campaign. One query."""
    judged = (
        select(func.count())
        .select_from(ReviewSlot)
        .where(
            ReviewSlot.campaign_id == campaign_id,
            ReviewSlot.account_id == account_id,
            ReviewSlot.state == SlotState.JUDGED,
        )
        .scalar_subquery()
    )
    items = (
        select(func.count())
        .select_from(ReviewItem)
        .where(ReviewItem.campaign_id == campaign_id, ReviewItem.state != ItemState.WITHDRAWN)
        .scalar_subquery()
    )
    row = session.execute(select(judged, items)).one()
    return OwnProgress(row[0], row[1])


def _own(row: Any) -> OwnVerdict:
    verdict: ReviewVerdict = row.ReviewVerdict
    return OwnVerdict(
        id=verdict.id,
        item_id=verdict.item_id,
        campaign_id=verdict.campaign_id,
        campaign=row.campaign,
        text=row.text,
        kind=VerdictKind(str(verdict.kind)),
        confidence=Confidence(str(verdict.confidence)),
        note=verdict.note,
        guess=verdict.guess,
        created_at=verdict.created_at,
        state=ItemState(row.state),
        outcome=None if row.outcome is None else Verdict(row.outcome),
        may_be_undone=bool(row.is_young) and row.campaign_state != CampaignState.ENDED,
    )
