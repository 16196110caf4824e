"""Tables of a campaign for export: every verdict, item, flag and member of a sample's frame."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Integer, Select, case, cast, func, select
from sqlalchemy.orm import Session

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
from app.queries.review.live import truth_of


class ExportedTable(StrEnum):
    """The tables that can be exported of a campaign."""

    VERDICTS = "verdicts"
    ITEMS = "items"
    FLAGS = "flags"
    SAMPLES = "samples"


@dataclass(frozen=True, slots=True)
class VerdictLine:
    """One verdict, or the undoing of one, which has ``undoes_id`` and no ``verdict``."""

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
    """One item with the text that was judged. ``control`` and ``truth`` are set only for controls."""

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
    whole_corpus_score: float | None
    score_2023: float | None
    """The 2023 score when the item was added, as is ``headline``."""
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
    """All lines of one table of a campaign, in the order in which they were created."""
    if table is ExportedTable.SAMPLES:
        return _samples(session, campaign_id)
    row_type, statement = ROW_TYPES[table], _STATEMENTS[table](campaign_id)
    return [row_type(**row) for row in session.execute(statement).mappings()]


_NEURON = (Subject.slug.label("subject"), Neuron.layer, Neuron.index.label("neuron"))
"""The neuron that an explanation is about."""


def _verdicts(campaign_id: int) -> Select[*tuple[Any, ...]]:
    verdicts = {kind: str(kind.verdict) for kind in VerdictKind}
    return (
        select(
            ReviewVerdict.id.label("verdict_id"),
            ReviewVerdict.campaign_id,
            ReviewVerdict.version.label("campaign_version"),
            ReviewVerdict.item_id,
            ReviewItem.explanation_id,
            Account.name.label("reviewer"),
            Account.kind.label("reviewer_kind"),
            ReviewSlot.kind.label("slot"),
            case(verdicts, value=ReviewVerdict.kind).label("verdict"),
            ReviewVerdict.kind,
            ReviewVerdict.confidence,
            ReviewVerdict.note,
            ReviewVerdict.guess,
            ReviewVerdict.seconds,
            ReviewVerdict.undoes_id,
            ReviewVerdict.created_at,
        )
        .join(ReviewItem, ReviewItem.id == ReviewVerdict.item_id)
        .join(ReviewSlot, ReviewSlot.id == ReviewVerdict.slot_id)
        .join(Account, Account.id == ReviewVerdict.account_id)
        .where(ReviewVerdict.campaign_id == campaign_id)
        .order_by(ReviewVerdict.id)
    )


def _items(campaign_id: int) -> Select[*tuple[Any, ...]]:
    return (
        select(
            ReviewItem.id.label("item_id"),
            ReviewItem.campaign_id,
            ReviewItem.draw_id,
            ReviewItem.explanation_id,
            *_NEURON,
            func.coalesce(ReviewControl.planted_text, Explanation.text).label("text"),
            ReviewItem.source,
            CampaignDraw.strata[cast(ReviewItem.stratum, Integer)]["label"].astext.label("stratum"),
            ReviewItem.headline.label("whole_corpus_score"),
            ReviewItem.score.label("score_2023"),
            ReviewItem.state,
            ReviewItem.outcome,
            ReviewControl.kind.label("control"),
            truth_of().label("truth"),
            ReviewItem.created_at,
            ReviewItem.settled_at,
        )
        .join(CampaignDraw, CampaignDraw.id == ReviewItem.draw_id)
        .join(Explanation, Explanation.id == ReviewItem.explanation_id)
        .join(Neuron, Neuron.id == Explanation.neuron_id)
        .join(Subject, Subject.id == Neuron.subject_id)
        .outerjoin(ReviewControl, ReviewControl.item_id == ReviewItem.id)
        .where(ReviewItem.campaign_id == campaign_id)
        .order_by(ReviewItem.id)
    )


def _flags(campaign_id: int) -> Select[*tuple[Any, ...]]:
    return (
        select(
            Flag.id.label("flag_id"),
            Flag.item_id,
            Flag.explanation_id,
            *_NEURON,
            Explanation.text,
            Flag.reason,
            Flag.note,
            Account.name.label("flagged_by"),
            Flag.created_at,
        )
        .join(Explanation, Explanation.id == Flag.explanation_id)
        .join(Neuron, Neuron.id == Explanation.neuron_id)
        .join(Subject, Subject.id == Neuron.subject_id)
        .join(Account, Account.id == Flag.account_id)
        .where(Flag.explanation_id.in_(select(ReviewItem.explanation_id).where(ReviewItem.campaign_id == campaign_id)))
        .order_by(Flag.id)
    )


_STATEMENTS: Mapping[ExportedTable, Callable[[int], Select[*tuple[Any, ...]]]] = {
    ExportedTable.VERDICTS: _verdicts,
    ExportedTable.ITEMS: _items,
    ExportedTable.FLAGS: _flags,
}
"""One statement per table; the columns are named after the fields of its line class."""


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
