"""Items as reviewers see them: blind before their verdict, with outcomes after it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select, union_all
from sqlalchemy.orm import Session

from app.domain.bounds import BIGGEST_ID
from app.domain.review import (
    CampaignState,
    Confidence,
    ControlKind,
    ItemSource,
    ItemState,
    ReviewerKind,
    SlotKind,
    Verdict,
    VerdictKind,
)
from app.errors import NotFound
from app.models import (
    Account,
    Campaign,
    CampaignVersion,
    Explanation,
    Neuron,
    ReviewControl,
    ReviewItem,
    ReviewSlot,
    ReviewVerdict,
    Subject,
)
from app.queries.review.campaigns import CampaignRules, rules_of
from app.queries.review.live import stands, truth_of


@dataclass(frozen=True, slots=True)
class ItemShown:
    """An item with the text that is judged. A control's text may not be the explanation's."""

    id: int
    campaign_id: int
    campaign: str
    campaign_state: CampaignState
    is_standing: bool
    rules: CampaignRules
    campaign_seed: int
    source: ItemSource
    state: ItemState
    outcome: Verdict | None
    text: str
    explanation_id: int
    neuron_id: int
    collection_id: int | None
    slug: str
    layer: int
    index: int
    control: ControlKind | None
    truth: Verdict | None
    is_planted: bool
    """Whether the text was planted, so that it is not a stored explanation."""

    @property
    def is_open_about_itself(self) -> bool:
        """Whether everything hidden from reviewers may be shown: the neuron, the source, that the item is a control."""
        return not self.rules.is_blind or self.campaign_state is CampaignState.ENDED

    @property
    def told(self) -> "ItemTold":
        """The parts of the item that pages may show now."""
        origin = ItemOrigin(
            source=self.source,
            control=self.control,
            truth=self.truth,
            is_planted=self.is_planted,
            explanation_id=self.explanation_id,
            neuron_id=self.neuron_id,
            slug=self.slug,
            layer=self.layer,
            index=self.index,
        )
        return ItemTold(
            id=self.id,
            campaign_id=self.campaign_id,
            campaign=self.campaign,
            state=self.state,
            outcome=self.outcome,
            text=self.text,
            origin=origin if self.is_open_about_itself else None,
        )


@dataclass(frozen=True, slots=True)
class ItemOrigin:
    """The facts hidden during blind review: the neuron, why it is an item, and the right verdict on a control."""

    source: ItemSource
    control: ControlKind | None
    truth: Verdict | None
    is_planted: bool
    explanation_id: int
    neuron_id: int
    slug: str
    layer: int
    index: int


@dataclass(frozen=True, slots=True)
class ItemTold:
    """The shown parts of an item with text and outcome; ``origin`` is None while its campaign is blind and open."""

    id: int
    campaign_id: int
    campaign: str
    state: ItemState
    outcome: Verdict | None
    text: str
    origin: ItemOrigin | None


@dataclass(frozen=True, slots=True)
class VerdictShown:
    """A verdict with who gave it."""

    id: int
    item_id: int
    by: str
    reviewer_kind: ReviewerKind
    slot: SlotKind
    kind: VerdictKind
    confidence: Confidence
    note: str
    guess: str
    seconds: float | None
    created_at: datetime


SHOWN_TEXT = func.coalesce(ReviewControl.planted_text, Explanation.text)
"""The text that reviewers of an item read; for a planted control not the explanation's."""


def item_shown(session: Session, *, item_id: int) -> ItemShown:
    """One item. Raises NotFound."""
    rows = _items(session, ReviewItem.id == item_id, limit=1) if 0 < item_id <= BIGGEST_ID else []
    if not rows:
        raise NotFound("There is no such item.")
    return rows[0]


def items_in_states(
    session: Session, *, campaign_id: int, states: Sequence[ItemState], limit: int = 50
) -> dict[ItemState, tuple[ItemShown, ...]]:
    """Up to ``limit`` items of a campaign in each of these states, in the order in which they are taken. One query."""
    own = [
        select(ReviewItem.id)
        .where(ReviewItem.campaign_id == campaign_id, ReviewItem.state == state)
        .order_by(ReviewItem.position, ReviewItem.id)
        .limit(limit)
        .subquery()
        for state in states
    ]
    ids = union_all(*(select(each.c.id) for each in own))
    found: dict[ItemState, list[ItemShown]] = {state: [] for state in states}
    for item in _items(session, ReviewItem.id.in_(ids), limit=limit * len(states)):
        found[item.state].append(item)
    return {state: tuple(items) for state, items in found.items()}


def item_verdicts(session: Session, *, item_id: int) -> tuple[VerdictShown, ...]:
    """The verdicts on an item that were not undone, in the order in which they were given."""
    rows = session.execute(
        select(ReviewVerdict, Account.name, Account.kind.label("reviewer"), ReviewSlot.kind.label("slot"))
        .join(Account, Account.id == ReviewVerdict.account_id)
        .join(ReviewSlot, ReviewSlot.id == ReviewVerdict.slot_id)
        .where(ReviewVerdict.item_id == item_id, stands())
        .order_by(ReviewVerdict.id)
    )
    return tuple(
        VerdictShown(
            id=verdict.id,
            item_id=item_id,
            by=name,
            reviewer_kind=ReviewerKind(reviewer),
            slot=SlotKind(slot),
            kind=VerdictKind(str(verdict.kind)),
            confidence=Confidence(str(verdict.confidence)),
            note=verdict.note,
            guess=verdict.guess,
            seconds=verdict.seconds,
            created_at=verdict.created_at,
        )
        for verdict, name, reviewer, slot in rows
    )


def n_verdicts(session: Session, *, campaign_id: int) -> int:
    """The number of verdicts in a campaign that were not undone."""
    return session.scalars(select(func.count()).where(ReviewVerdict.campaign_id == campaign_id, stands())).one()


def _items(session: Session, condition: ColumnElement[bool], *, limit: int) -> list[ItemShown]:
    rows = session.execute(
        select(
            ReviewItem,
            Campaign,
            CampaignVersion,
            SHOWN_TEXT.label("text"),
            ReviewControl.kind.label("control"),
            truth_of().label("truth"),
            ReviewControl.planted_text,
            Neuron.id.label("neuron_id"),
            Neuron.layer,
            Neuron.index.label("number"),
            Subject.slug,
            Subject.collection_id,
        )
        .join(Campaign, Campaign.id == ReviewItem.campaign_id)
        .join(
            CampaignVersion,
            and_(CampaignVersion.campaign_id == Campaign.id, CampaignVersion.number == Campaign.version),
        )
        .join(Explanation, Explanation.id == ReviewItem.explanation_id)
        .join(Neuron, Neuron.id == Explanation.neuron_id)
        .join(Subject, Subject.id == Neuron.subject_id)
        .outerjoin(ReviewControl, ReviewControl.item_id == ReviewItem.id)
        .where(condition)
        .order_by(ReviewItem.position, ReviewItem.id)
        .limit(limit)
    )
    return [_item(row) for row in rows]


def _item(row: Any) -> ItemShown:
    item, campaign = row.ReviewItem, row.Campaign
    return ItemShown(
        id=item.id,
        campaign_id=campaign.id,
        campaign=campaign.name,
        campaign_state=CampaignState(campaign.state),
        is_standing=campaign.is_standing,
        rules=rules_of(row.CampaignVersion),
        campaign_seed=campaign.seed,
        source=ItemSource(item.source),
        state=ItemState(item.state),
        outcome=None if item.outcome is None else Verdict(item.outcome),
        text=row.text,
        explanation_id=item.explanation_id,
        neuron_id=row.neuron_id,
        collection_id=row.collection_id,
        slug=row.slug,
        layer=row.layer,
        index=row.number,
        control=None if row.control is None else ControlKind(row.control),
        truth=None if row.truth is None else Verdict(row.truth),
        is_planted=row.planted_text is not None,
    )
