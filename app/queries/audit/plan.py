"""The draws of a campaign's items, and when it last changed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, func, select
from sqlalchemy.orm import Session

from app.domain.review import ItemSource, Stratifier
from app.models import Account, CampaignDraw, Event, EventLink


@dataclass(frozen=True, slots=True)
class StratumPlan:
    """A stratum of a sample: its name, its population, the number drawn."""

    label: str
    population: int
    n: int


@dataclass(frozen=True, slots=True)
class DrawFacts:
    """Items that were added together. A sample can be drawn again from its seed and its recorded population."""

    id: int
    source: ItemSource
    stratified_by: Stratifier | None
    seed: int
    parameters: dict[str, Any]
    population: int
    n_items: int
    strata: tuple[StratumPlan, ...]
    by: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class HistoryHead:
    """The newest link of the chain of events."""

    hash: str
    n_events: int


def draw_facts(session: Session, *, campaign_id: int) -> tuple[DrawFacts, ...]:
    """Every draw of a campaign, oldest first."""
    rows = session.execute(
        select(CampaignDraw, Account.name)
        .outerjoin(Account, Account.id == CampaignDraw.account_id)
        .where(CampaignDraw.campaign_id == campaign_id)
        .order_by(CampaignDraw.id)
    )
    return tuple(
        DrawFacts(
            id=draw.id,
            source=ItemSource(draw.source),
            stratified_by=Stratifier(draw.stratified_by) if draw.stratified_by else None,
            seed=draw.seed,
            parameters=draw.parameters,
            population=len(draw.frame),
            n_items=draw.n_items,
            strata=tuple(StratumPlan(s["label"], s["population"], s["n"]) for s in draw.strata),
            by=by,
            at=draw.created_at,
        )
        for draw, by in rows
    )


def changed_at(session: Session, *, campaign_id: int) -> datetime | None:
    """When the campaign's newest event happened; None without one."""
    named = Event.detail["campaign_id"].as_string().cast(BigInteger)
    return session.scalar(select(func.max(Event.at)).where(named == campaign_id))


def history_head(session: Session) -> HistoryHead:
    """The head of the chain of events, empty before the first."""
    newest = session.execute(select(EventLink.hash).order_by(EventLink.position.desc()).limit(1)).first()
    if newest is None:
        return HistoryHead("", 0)
    n_events = session.scalars(select(func.count()).where(EventLink.event_id.is_not(None))).one()
    return HistoryHead(bytes(newest.hash).hex(), n_events)  # other links cover seals
