"""A campaign as tables: every verdict, item, flag and member of a sample's frame."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from app.domain.review import ItemSource, VerdictKind
from app.models import (
    Account,
    CampaignDraw,
    Explanation,
    Flag,
    Neuron,
    ReviewControl,
    ReviewItem,
    ReviewSlot,
    ReviewVerdict,
    Subject,
)


class ExportedTable(StrEnum):
    """What can be exported of a campaign."""

    VERDICTS = "verdicts"
    ITEMS = "items"
    FLAGS = "flags"
    SAMPLES = "samples"


@dataclass(frozen=True, slots=True)
class VerdictLine:
    """One verdict, or the undoing of one: then ``undoes_id`` names it and there is no ``verdict``."""

    verdict_id: int
    campaign_id: int
    campaign_version: int
    item_id: int
    explanation_id: int
    reviewer: str
    reviewer_kind: str
    slot: str
    verdict: str | None
    kind: str | None
    confidence: str | None
    note: str
    guess: str
    seconds: float | None
    undoes_id: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ItemLine:
    """One item with the text that was judged; ``control`` and ``truth`` where it is one."""

    item_id: int
    campaign_id: int
    draw_id: int
    explanation_id: int
    subject: str
    layer: int
    neuron: int
    text: str
    source: str
    stratum: str | None
    score: float | None
    state: str
    outcome: str | None
    control: str | None
    truth: str | None
    created_at: datetime
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class FlagLine:
    """One flag against an explanation that is an item of the campaign."""

    flag_id: int
    item_id: int
    explanation_id: int
    subject: str
    layer: int
    neuron: int
    text: str
    reason: str
    note: str
    flagged_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SampleLine:
    """One explanation of the population that a sample was drawn from."""

    draw_id: int
    seed: int
    explanation_id: int
    stratum: str
    stratum_population: int
    stratum_drawn: int
    is_drawn: bool


Lines = list[VerdictLine] | list[ItemLine] | list[FlagLine] | list[SampleLine]
ROW_TYPES: Mapping[ExportedTable, type[Any]] = {
    ExportedTable.VERDICTS: VerdictLine,
    ExportedTable.ITEMS: ItemLine,
    ExportedTable.FLAGS: FlagLine,
    ExportedTable.SAMPLES: SampleLine,
}


def exported_lines(session: Session, *, campaign_id: int, table: ExportedTable) -> Lines:
    """All lines of a table of one campaign, in the order in which they were made."""
    return _READERS[table](session, campaign_id)


def _verdicts(session: Session, campaign_id: int) -> list[VerdictLine]:
    rows = session.execute(
        select(
            ReviewVerdict,
            ReviewItem.explanation_id,
            Account.name,
            Account.kind.label("reviewer_kind"),
            ReviewSlot.kind.label("slot"),
        )
        .join(ReviewItem, ReviewItem.id == ReviewVerdict.item_id)
        .join(ReviewSlot, ReviewSlot.id == ReviewVerdict.slot_id)
        .join(Account, Account.id == ReviewVerdict.account_id)
        .where(ReviewVerdict.campaign_id == campaign_id)
        .order_by(ReviewVerdict.id)
    )
    return [
        VerdictLine(
            verdict_id=verdict.id,
            campaign_id=campaign_id,
            campaign_version=verdict.version,
            item_id=verdict.item_id,
            explanation_id=row.explanation_id,
            reviewer=row.name,
            reviewer_kind=row.reviewer_kind,
            slot=row.slot,
            verdict=None if verdict.kind is None else str(VerdictKind(verdict.kind).verdict),
            kind=verdict.kind,
            confidence=verdict.confidence,
            note=verdict.note,
            guess=verdict.guess,
            seconds=verdict.seconds,
            undoes_id=verdict.undoes_id,
            created_at=verdict.created_at,
        )
        for row in rows
        for verdict in [row.ReviewVerdict]
    ]


def _items(session: Session, campaign_id: int) -> list[ItemLine]:
    rows = session.execute(
        select(
            ReviewItem,
            Subject.slug,
            Neuron.layer,
            Neuron.index.label("neuron"),
            func.coalesce(ReviewControl.planted_text, Explanation.text).label("text"),
            CampaignDraw.strata,
            ReviewControl.kind.label("control"),
            ReviewControl.truth,
        )
        .join(CampaignDraw, CampaignDraw.id == ReviewItem.draw_id)
        .join(Explanation, Explanation.id == ReviewItem.explanation_id)
        .join(Neuron, Neuron.id == Explanation.neuron_id)
        .join(Subject, Subject.id == Neuron.subject_id)
        .outerjoin(ReviewControl, ReviewControl.item_id == ReviewItem.id)
        .where(ReviewItem.campaign_id == campaign_id)
        .order_by(ReviewItem.id)
    )
    return [
        ItemLine(
            item_id=item.id,
            campaign_id=campaign_id,
            draw_id=item.draw_id,
            explanation_id=item.explanation_id,
            subject=row.slug,
            layer=row.layer,
            neuron=row.neuron,
            text=row.text,
            source=item.source,
            stratum=None if item.stratum is None else row.strata[item.stratum]["label"],
            score=item.score,
            state=item.state,
            outcome=item.outcome,
            control=row.control,
            truth=row.truth,
            created_at=item.created_at,
            settled_at=item.settled_at,
        )
        for row in rows
        for item in [row.ReviewItem]
    ]


def _flags(session: Session, campaign_id: int) -> list[FlagLine]:
    own = aliased(ReviewItem)
    in_campaign = select(own.explanation_id).where(own.campaign_id == campaign_id)
    rows = session.execute(
        select(Flag, Subject.slug, Neuron.layer, Neuron.index.label("neuron"), Explanation.text, Account.name)
        .join(Explanation, Explanation.id == Flag.explanation_id)
        .join(Neuron, Neuron.id == Explanation.neuron_id)
        .join(Subject, Subject.id == Neuron.subject_id)
        .join(Account, Account.id == Flag.account_id)
        .where(Flag.explanation_id.in_(in_campaign))
        .order_by(Flag.id)
    )
    return [
        FlagLine(
            flag_id=row.Flag.id,
            item_id=row.Flag.item_id,
            explanation_id=row.Flag.explanation_id,
            subject=row.slug,
            layer=row.layer,
            neuron=row.neuron,
            text=row.text,
            reason=row.Flag.reason,
            note=row.Flag.note,
            flagged_by=row.name,
            created_at=row.Flag.created_at,
        )
        for row in rows
    ]


def _samples(session: Session, campaign_id: int) -> list[SampleLine]:
    draws = session.scalars(
        select(CampaignDraw)
        .where(CampaignDraw.campaign_id == campaign_id, CampaignDraw.source == ItemSource.SAMPLE)
        .order_by(CampaignDraw.id)
    ).all()
    rows = session.execute(
        select(ReviewItem.draw_id, ReviewItem.explanation_id).where(
            ReviewItem.campaign_id == campaign_id, ReviewItem.source == ItemSource.SAMPLE
        )
    )
    drawn = {(row.draw_id, row.explanation_id) for row in rows}
    return [
        SampleLine(
            draw_id=draw.id,
            seed=draw.seed,
            explanation_id=explanation_id,
            stratum=draw.strata[stratum]["label"],
            stratum_population=draw.strata[stratum]["population"],
            stratum_drawn=draw.strata[stratum]["n"],
            is_drawn=(draw.id, explanation_id) in drawn,
        )
        for draw in draws
        for explanation_id, stratum in zip(draw.frame, draw.frame_strata, strict=True)
    ]


_READERS: Mapping[ExportedTable, Callable[[Session, int], Lines]] = {
    ExportedTable.VERDICTS: _verdicts,
    ExportedTable.ITEMS: _items,
    ExportedTable.FLAGS: _flags,
    ExportedTable.SAMPLES: _samples,
}
