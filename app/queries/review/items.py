"""Items of campaigns: added with the slots that the rules require, drawn as samples, withdrawn."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, func, select, text, update
from sqlalchemy.orm import Session

from app.domain.bounds import BIGGEST_ID, MOST_ITEMS
from app.domain.events import EventKind
from app.domain.review import UNSETTLED, CampaignState, ItemSource, ItemState, SlotKind, SlotState, Stratifier
from app.domain.sampling import Drawn, Stratified, draw, positions, stratum_label
from app.errors import Conflict, Invalid, NotFound
from app.models import (
    Account,
    Campaign,
    CampaignDraw,
    CampaignVersion,
    Neuron,
    ReviewItem,
    ReviewSlot,
    ReviewVerdict,
)
from app.models.base import is_one_of
from app.queries.history.events import record_event
from app.queries.neurons.selection import NeuronSelection
from app.queries.review.campaigns import CampaignRules, insert_campaign

SEEDS = 2**31


@dataclass(frozen=True, slots=True)
class SampleWanted:
    """A sample of the current explanations of some neurons."""

    neurons: NeuronSelection
    n: int
    stratified_by: Stratifier | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    """The request in words that a person recognises: the filters of the list."""


@dataclass(frozen=True, slots=True)
class ItemsWanted:
    """A request for these explanations, however they were chosen."""

    source: ItemSource
    explanation_ids: Sequence[int]
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Added:
    """Items that were added together, without those that were unsettled items of the campaign already."""

    draw_id: int
    n_items: int


@dataclass(frozen=True, slots=True)
class DrawShown:
    """Items that were added together, with their numbers by state."""

    id: int
    campaign_id: int
    campaign: str
    source: ItemSource
    n_items: int
    n_unjudged: int
    n_withdrawn: int
    account_id: int | None
    by: str | None
    created_at: datetime

    @property
    def may_be_withdrawn(self) -> bool:
        """Whether some of the items can be withdrawn."""
        return self.source is not ItemSource.SAMPLE and self.n_unjudged > 0


_INSERT_ITEMS = text(f"""
    INSERT INTO review_item (campaign_id, draw_id, explanation_id, source, stratum, position, headline, score)
    SELECT :campaign_id, :draw_id, explanation.id, :source, wanted.stratum, wanted.position,
        CASE WHEN neuron.current_explanation_id = explanation.id THEN neuron.headline_score END,
        CASE WHEN neuron.current_explanation_id = explanation.id THEN neuron.current_score END
    FROM unnest(CAST(:explanation_ids AS bigint[]), CAST(:strata AS smallint[]), CAST(:positions AS int[]))
        AS wanted (explanation_id, stratum, position)
    JOIN explanation ON explanation.id = wanted.explanation_id
    JOIN neuron ON neuron.id = explanation.neuron_id
    ORDER BY explanation.id
    ON CONFLICT (campaign_id, explanation_id)
        WHERE source <> '{ItemSource.CONTROL}' AND {is_one_of("state", UNSETTLED)} DO NOTHING
""")  # noqa: S608 - words of enums
_INSERT_SLOTS = text(f"""
    INSERT INTO review_slot (item_id, campaign_id, position, number, kind)
    SELECT item.id, item.campaign_id, item.position, number, '{SlotKind.REVIEW}'
    FROM review_item AS item, generate_series(1, :n_slots) AS number
    WHERE item.draw_id = :draw_id ORDER BY item.position, item.id, number
""")  # noqa: S608 - words of enums


def create_campaign(  # noqa: PLR0913 - a campaign's own columns
    session: Session,
    *,
    name: str,
    subject_id: int,
    rules: CampaignRules,
    wanted: SampleWanted | ItemsWanted,
    account_id: int | None,
    seed: int,
) -> int:
    """A new campaign with its first items; returns its id. One event.

    With controls in its rules, it is in the state ``preparing`` until ``open_prepared``. Raises Invalid for a bad name
    or a seed or number out of bounds, Conflict if there is nothing to judge.
    """
    if not 0 <= seed < SEEDS:
        raise Invalid(f"A seed is a whole number from 0 to {SEEDS - 1}.")
    campaign_id = insert_campaign(
        session, name=name, subject_id=subject_id, rules=rules, account_id=account_id, seed=seed
    )
    campaign = session.get_one(Campaign, campaign_id)
    added = (
        _add_sample(session, campaign, wanted, account_id)
        if isinstance(wanted, SampleWanted)
        else insert_items(session, campaign=campaign, wanted=wanted, account_id=account_id)
    )
    if not added.n_items:
        raise Conflict("No explanation matches, so there is nothing to judge. Widen the filters.")
    detail = {"campaign_id": campaign_id, "name": campaign.name, "draw_id": added.draw_id, "n_items": added.n_items}
    record_event(session, kind=EventKind.CAMPAIGN_CREATED, account_id=account_id, subject_id=subject_id, detail=detail)
    return campaign_id


def add_items(session: Session, *, campaign_id: int, wanted: ItemsWanted, account_id: int) -> Added:
    """Add explanations to an open campaign. One event.

    Raises NotFound for an unknown campaign, Conflict for one that is not open, for the standing campaign, whose items
    come from flags, and if nothing would be added.
    """
    campaign = session.get(Campaign, campaign_id) if 0 < campaign_id <= BIGGEST_ID else None
    if campaign is None:
        raise NotFound("There is no such campaign.")
    if campaign.state != CampaignState.OPEN or campaign.is_standing:
        raise Conflict("Items can be added to a campaign that is open; to the standing campaign, by a flag.")
    added = insert_items(session, campaign=campaign, wanted=wanted, account_id=account_id)
    if not added.n_items:
        raise Conflict("The campaign has all of these explanations already.")
    detail = {"campaign_id": campaign_id, "draw_id": added.draw_id, "n_items": added.n_items}
    record_event(
        session, kind=EventKind.ITEMS_ADDED, account_id=account_id, subject_id=campaign.subject_id, detail=detail
    )
    return added


def insert_items(
    session: Session, *, campaign: Campaign, wanted: ItemsWanted, account_id: int | None, drawn: Drawn | None = None
) -> Added:
    """Insert the items and slots of one draw, without an event. Raises Invalid for more than a campaign may have."""
    ids = sorted(set(wanted.explanation_ids))
    if len(ids) > MOST_ITEMS:
        raise Invalid(f"{len(ids):,} explanations are too many for a campaign; {MOST_ITEMS:,} are the most.")
    row = CampaignDraw(
        campaign_id=campaign.id,
        source=wanted.source,
        seed=campaign.seed,
        parameters=wanted.parameters,
        n_items=len(ids),
        account_id=account_id,
    )
    return _insert_draw(session, campaign, row, ids, None if drawn is None else drawn.strata_of)


def withdraw_items(session: Session, *, draw_id: int, account_id: int) -> list[int]:
    """Withdraw the items of a draw that are not judged. Returns their ids. One event.

    Raises NotFound; Conflict if no item can be withdrawn, and for a sample, since an estimate needs all of its items.
    """
    row = session.get(CampaignDraw, draw_id) if 0 < draw_id <= BIGGEST_ID else None
    if row is None:
        raise NotFound("There is no such draw.")
    if row.source == ItemSource.SAMPLE:
        raise Conflict("A sample stays as it was drawn: an estimate rests on all of it. End the campaign instead.")
    judged = select(ReviewVerdict.item_id).where(ReviewVerdict.campaign_id == row.campaign_id)
    waiting = select(ReviewItem.id).where(
        ReviewItem.draw_id == draw_id, ReviewItem.state.in_(UNSETTLED), ReviewItem.id.not_in(judged)
    )
    lock_slots(session, item_ids=session.scalars(waiting).all())
    withdrawn = session.scalars(waiting).all()
    if not withdrawn:
        raise Conflict("Nothing is left to be taken out: these items were judged or taken out already.")
    withdraw(session, item_ids=withdrawn)
    detail = {"campaign_id": row.campaign_id, "draw_id": draw_id, "n_items": len(withdrawn)}
    campaign = session.get_one(Campaign, row.campaign_id)
    record_event(
        session, kind=EventKind.ITEMS_WITHDRAWN, account_id=account_id, subject_id=campaign.subject_id, detail=detail
    )
    return list(withdrawn)


def lock_slots(session: Session, *, item_ids: Sequence[int]) -> None:
    """Wait for verdicts in progress on these items and block new ones: giving a verdict locks the slots too."""
    slots = select(ReviewSlot.id).where(ReviewSlot.item_id.in_(item_ids), ReviewSlot.state != SlotState.JUDGED)
    session.execute(slots.order_by(ReviewSlot.id).with_for_update())


def withdraw(session: Session, *, item_ids: Sequence[int]) -> None:
    """Withdraw items without verdicts from their campaign, even if somebody holds them; without an event."""
    session.execute(update(ReviewItem).where(ReviewItem.id.in_(item_ids)).values(state=ItemState.WITHDRAWN))
    session.execute(delete(ReviewSlot).where(ReviewSlot.item_id.in_(item_ids), ReviewSlot.state != SlotState.JUDGED))


def withdrawn_copy(session: Session, *, item: ReviewItem) -> int:
    """A withdrawn item for the same explanation and draw; returns its id."""
    copy = ReviewItem(
        campaign_id=item.campaign_id,
        explanation_id=item.explanation_id,
        draw_id=item.draw_id,
        position=item.position,
        source=item.source,
        score=item.score,
        state=ItemState.WITHDRAWN,
    )
    session.add(copy)
    session.flush()  # the caller needs its id
    return copy.id


def draw_shown(session: Session, *, draw_id: int) -> DrawShown:
    """One draw. Raises NotFound."""
    judged = select(ReviewVerdict.id).where(ReviewVerdict.item_id == ReviewItem.id).exists()
    is_waiting = and_(ReviewItem.state.in_(UNSETTLED), ~judged)
    row = session.execute(
        select(
            CampaignDraw,
            Campaign.name.label("campaign"),
            Account.name.label("by"),
            func.count(ReviewItem.id).label("n_items"),
            func.count(ReviewItem.id).filter(is_waiting).label("n_unjudged"),
            func.count(ReviewItem.id).filter(ReviewItem.state == ItemState.WITHDRAWN).label("n_withdrawn"),
        )
        .join(Campaign, Campaign.id == CampaignDraw.campaign_id)
        .outerjoin(Account, Account.id == CampaignDraw.account_id)
        .outerjoin(ReviewItem, ReviewItem.draw_id == CampaignDraw.id)
        .where(CampaignDraw.id == draw_id)
        .group_by(CampaignDraw.id, Campaign.id, Account.id)
    ).first()
    if row is None:
        raise NotFound("There is no such draw.")
    draw_: CampaignDraw = row.CampaignDraw
    return DrawShown(
        id=draw_.id,
        campaign_id=draw_.campaign_id,
        campaign=row.campaign,
        source=ItemSource(draw_.source),
        n_items=row.n_items,
        n_unjudged=row.n_unjudged,
        n_withdrawn=row.n_withdrawn,
        account_id=draw_.account_id,
        by=row.by,
        created_at=draw_.created_at,
    )


def current_explanations(session: Session, *, neurons: NeuronSelection) -> list[int]:
    """The current explanations of the selected neurons, by ascending id; neurons without one are left out."""
    with neurons.planned(session):
        found = select(Neuron.current_explanation_id).where(
            *neurons.conditions, Neuron.current_explanation_id.is_not(None)
        )
        return sorted(i for i in session.scalars(found) if i is not None)


def _add_sample(session: Session, campaign: Campaign, wanted: SampleWanted, account_id: int | None) -> Added:
    if not 0 < wanted.n <= MOST_ITEMS:
        raise Invalid(f"A sample has 1 to {MOST_ITEMS:,} explanations.")
    with wanted.neurons.planned(session):
        rows = session.execute(
            select(
                Neuron.current_explanation_id,
                Neuron.layer,
                Neuron.headline_score,
                Neuron.current_score,
                Neuron.firing_rate,
            )
            .where(*wanted.neurons.conditions, Neuron.current_explanation_id.is_not(None))
            .order_by(Neuron.current_explanation_id)
        ).all()
    if not rows:
        raise Conflict("No explanation matches, so there is nothing to draw from. Widen the filters.")
    found = [stratum_label(wanted.stratified_by, Stratified(*row[1:])) for row in rows]
    labels = sorted(set(found), key=_natural)
    index = {label: i for i, label in enumerate(labels)}
    frame_strata = [index[label] for label in found]
    drawn = draw(frame_strata, labels, n=wanted.n, seed=campaign.seed)
    frame = [row[0] for row in rows if row[0] is not None]
    row = CampaignDraw(
        campaign_id=campaign.id,
        source=ItemSource.SAMPLE,
        stratified_by=wanted.stratified_by,
        seed=campaign.seed,
        parameters={**wanted.parameters, "n": wanted.n},
        frame=frame,
        frame_strata=frame_strata,
        strata=[{"label": s.label, "population": s.population, "n": s.n} for s in drawn.strata],
        n_items=len(drawn.indices),
        account_id=account_id,
    )
    return _insert_draw(session, campaign, row, [frame[i] for i in drawn.indices], drawn.strata_of)


def _insert_draw(
    session: Session, campaign: Campaign, row: CampaignDraw, ids: Sequence[int], strata_of: Sequence[int] | None
) -> Added:
    session.add(row)
    session.flush()  # its items need its id
    # The standing campaign is judged in the order of its flags, others in an order derived from the seed.
    order = [0] * len(ids) if campaign.is_standing else positions(len(ids), seed=campaign.seed ^ row.id)
    values = {
        "campaign_id": campaign.id,
        "draw_id": row.id,
        "source": row.source,
        "explanation_ids": list(ids),
        "strata": [None] * len(ids) if strata_of is None else list(strata_of),
        "positions": order,
    }
    session.execute(_INSERT_ITEMS, values)
    required = session.scalars(
        select(CampaignVersion.verdicts_per_item).where(
            CampaignVersion.campaign_id == campaign.id, CampaignVersion.number == campaign.version
        )
    ).one()
    session.execute(_INSERT_SLOTS, {"draw_id": row.id, "n_slots": required})
    n = session.scalar(select(func.count()).select_from(ReviewItem).where(ReviewItem.draw_id == row.id))
    return Added(row.id, n or 0)


def _natural(label: str) -> tuple[str, float]:
    """Sort key that puts ``layer 10`` after ``layer 9``, and bands by their lower edge."""
    word, _, rest = label.partition(" ")
    return (word, int(rest)) if word == "layer" else ("", _first_number(label))


def _first_number(label: str) -> float:
    for part in label.split():
        try:
            return float(part) - (0.5 if label.startswith("below") else 0.0)
        except ValueError:
            continue
    return float("inf")
