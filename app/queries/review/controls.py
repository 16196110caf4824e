"""Controls of campaigns: the material they are made from, and how they are stored among the items."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from app.domain.review import (
    CONTROL_TRUTH,
    CampaignState,
    ControlKind,
    ItemSource,
    ItemState,
    SlotKind,
    Verdict,
)
from app.domain.sampling import positions
from app.errors import Conflict
from app.models import (
    Campaign,
    CampaignDraw,
    CampaignVersion,
    CollectedNeuron,
    Collection,
    CorpusCheck,
    Excerpt,
    Explanation,
    Neuron,
    ReviewControl,
    ReviewItem,
    ReviewSlot,
    Subject,
)
from app.queries.review.campaigns import campaign_row, open_prepared

REPEATED = "repeated_items"
"""Parameter of a draw of controls: the ids of the campaign's own items to be repeated."""
KNOWN_LEAST = 0.8
"""Precision and recall over the whole corpus from which an executed explanation counts as known to hold."""
REPEATED_AFTER = 3
"""A settled item is repeated after one third of the campaign's items."""
N_EXCERPTS = 400
"""Excerpts in which claims are counted when a text is to be broadened."""


@dataclass(frozen=True, slots=True)
class ControlSource:
    """A current explanation from which a control can be made, with the tokens that drive its neuron most."""

    explanation_id: int
    layer: int
    text: str
    strongest_tokens: frozenset[int]
    precision: float | None
    recall: float | None
    """Recall over the whole corpus; None if the text was not executed."""
    is_item: bool
    """Whether the explanation is already an item of the campaign."""

    @property
    def is_known_to_hold(self) -> bool:
        """Whether its execution on the whole corpus is right almost everywhere."""
        return min(self.precision or 0.0, self.recall or 0.0) >= KNOWN_LEAST


@dataclass(frozen=True, slots=True)
class SettledSource:
    """An item that an earlier campaign has settled."""

    item_id: int
    explanation_id: int
    outcome: Verdict


@dataclass(frozen=True, slots=True)
class ControlMaterial:
    """The material for a campaign's controls. ``excerpts`` are token ids of some excerpts of the corpus."""

    n_wanted: int
    seed: int
    tokenizer_id: int
    sources: tuple[ControlSource, ...]
    settled: tuple[SettledSource, ...]
    repeatable: tuple[int, ...]
    """Ids of the campaign's items that come early enough to be repeated once they are settled."""
    excerpts: tuple[list[int], ...]


@dataclass(frozen=True, slots=True)
class MadeControl:
    """A control. ``planted_text``, if any, is shown instead of the explanation."""

    kind: ControlKind
    explanation_id: int
    planted_text: str | None = None
    repeats: SettledSource | None = None
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def truth(self) -> Verdict:
        """The right verdict."""
        return CONTROL_TRUTH[self.kind] if self.repeats is None else self.repeats.outcome


def control_material(session: Session, *, campaign_id: int) -> ControlMaterial:
    """The material for a campaign's controls. Raises NotFound, Conflict for a campaign that is not being prepared."""
    campaign = campaign_row(session, campaign_id=campaign_id)
    if campaign.state is not CampaignState.PREPARING or campaign.subject_id is None:
        raise Conflict("Controls are made once, before a campaign opens.")
    subject = session.get_one(Subject, campaign.subject_id)
    share = campaign.rules.control_share
    return ControlMaterial(
        n_wanted=round(campaign.counts.total * share / (1 - share)),
        seed=campaign.seed,
        tokenizer_id=subject.tokenizer_id,
        sources=_sources(session, subject, campaign_id),
        settled=_settled(session, campaign.subject_id, campaign_id),
        repeatable=_repeatable(session, campaign_id, campaign.counts.total),
        excerpts=_excerpts(session, subject.collection_id),
    )


def store_controls(
    session: Session, *, campaign_id: int, controls: Sequence[MadeControl], repeated: Sequence[int] = ()
) -> None:
    """Add controls among a campaign's items and open it; does nothing if it is already open. One event.

    ``repeated`` are ids of its own items, which ``repeat_settled`` repeats once they are settled.
    """
    campaign = session.get_one(Campaign, campaign_id, with_for_update=True, populate_existing=True)
    if campaign.state != CampaignState.PREPARING:
        return
    draw = CampaignDraw(
        campaign_id=campaign_id,
        source=ItemSource.CONTROL,
        seed=campaign.seed,
        parameters={REPEATED: list(repeated)} if repeated else {},
        n_items=len(controls),
    )
    session.add(draw)
    session.flush()  # its items need its id
    order = positions(len(controls), seed=campaign.seed ^ draw.id)
    for control, position in zip(controls, order, strict=True):
        _add_control(session, campaign, draw.id, control, position)
    session.flush()  # the campaign opens with all of its items
    counts = {kind: sum(control.kind is kind for control in controls) for kind in ControlKind}
    counts[ControlKind.REPEAT] += len(repeated)
    open_prepared(session, campaign_id=campaign_id, n_controls={kind: n for kind, n in counts.items() if n})


def repeat_settled(session: Session, *, item: ReviewItem, campaign: Campaign) -> None:
    """Repeat a settled item later in the same campaign, if its controls require that; records no event.

    The right verdict on the repeat is the item's outcome, or its newer outcome if the item is settled again
    (``truth_of``). An item that nobody could decide is not repeated.
    """
    wanted = CampaignDraw.parameters[REPEATED].contains([item.id])
    draw_id = session.scalar(
        select(CampaignDraw.id)
        .where(CampaignDraw.campaign_id == campaign.id, wanted)
        .order_by(CampaignDraw.id)
        .limit(1)
    )
    if draw_id is None or item.outcome is None or item.outcome == Verdict.CANNOT_TELL:
        return
    own = select(ReviewItem.id).where(ReviewItem.campaign_id == campaign.id)
    known = select(ReviewControl.item_id).where(
        ReviewControl.repeats_item_id == item.id, ReviewControl.item_id.in_(own)
    )
    if session.scalar(known) is not None:
        return
    source = SettledSource(item.id, item.explanation_id, Verdict(item.outcome))
    control = MadeControl(ControlKind.REPEAT, item.explanation_id, repeats=source)
    _add_control(session, campaign, draw_id, control, _later_position(session, item))


def _later_position(session: Session, item: ReviewItem) -> int:
    """The position one third of the campaign's items after the item's, or the last one."""
    of_campaign = ReviewItem.campaign_id == item.campaign_id
    n_items = session.scalars(select(func.count()).where(of_campaign)).one()
    later = select(ReviewItem.position).where(of_campaign, ReviewItem.position > item.position)
    further = later.order_by(ReviewItem.position).offset(n_items // REPEATED_AFTER).limit(1)
    last = session.scalars(select(func.max(ReviewItem.position)).where(of_campaign)).one()
    return int(session.scalar(further) or last)


def _add_control(session: Session, campaign: Campaign, draw_id: int, control: MadeControl, position: int) -> None:
    """A control with the slots that the campaign's rules require."""
    required = session.scalars(
        select(CampaignVersion.verdicts_per_item).where(
            CampaignVersion.campaign_id == campaign.id, CampaignVersion.number == campaign.version
        )
    ).one()
    item = ReviewItem(
        campaign_id=campaign.id,
        draw_id=draw_id,
        explanation_id=control.explanation_id,
        source=ItemSource.CONTROL,
        position=position,
    )
    session.add(item)
    session.flush()  # the control and the slots need its id
    session.add(
        ReviewControl(
            item_id=item.id,
            kind=control.kind,
            truth=control.truth,
            planted_text=control.planted_text,
            repeats_item_id=None if control.repeats is None else control.repeats.item_id,
            detail=control.detail,
        )
    )
    session.add_all(
        ReviewSlot(item_id=item.id, campaign_id=campaign.id, position=position, number=n + 1, kind=SlotKind.REVIEW)
        for n in range(required)
    )


def _repeatable(session: Session, campaign_id: int, n_items: int) -> tuple[int, ...]:
    """The first half of the items by position: a repeat must come some time after the item."""
    rows = select(ReviewItem.id).where(ReviewItem.campaign_id == campaign_id)
    return tuple(session.scalars(rows.order_by(ReviewItem.position, ReviewItem.id).limit(n_items // 2)))


def _sources(session: Session, subject: Subject, campaign_id: int) -> tuple[ControlSource, ...]:
    is_item = (
        select(ReviewItem.id)
        .where(ReviewItem.campaign_id == campaign_id, ReviewItem.explanation_id == Explanation.id)
        .exists()
    )
    rows = session.execute(
        select(
            Explanation.id,
            Neuron.layer,
            Explanation.text,
            CollectedNeuron.strongest_tokens,
            CorpusCheck.precision,
            CorpusCheck.recall,
            is_item.label("is_item"),
        )
        .join(Neuron, Neuron.current_explanation_id == Explanation.id)
        .outerjoin(
            CollectedNeuron,
            and_(CollectedNeuron.neuron_id == Neuron.id, CollectedNeuron.collection_id == subject.collection_id),
        )
        .outerjoin(
            CorpusCheck,
            and_(CorpusCheck.explanation_id == Explanation.id, CorpusCheck.collection_id == subject.collection_id),
        )
        .where(Neuron.subject_id == subject.id)
        .order_by(Explanation.id)
    )
    return tuple(
        ControlSource(
            row.id, row.layer, row.text, frozenset(row.strongest_tokens or ()), row.precision, row.recall, row.is_item
        )
        for row in rows
    )


def _settled(session: Session, subject_id: int, campaign_id: int) -> tuple[SettledSource, ...]:
    rows = session.execute(
        select(ReviewItem.id, ReviewItem.explanation_id, ReviewItem.outcome)
        .join(Campaign, Campaign.id == ReviewItem.campaign_id)
        .where(
            Campaign.subject_id == subject_id,
            Campaign.id != campaign_id,
            ReviewItem.state == ItemState.SETTLED,
            ReviewItem.source != ItemSource.CONTROL,
            ReviewItem.outcome != Verdict.CANNOT_TELL,
        )
        .order_by(ReviewItem.id)
    )
    return tuple(SettledSource(row.id, row.explanation_id, Verdict(row.outcome)) for row in rows)


def _excerpts(session: Session, collection_id: int | None) -> tuple[list[int], ...]:
    """The token ids of some excerpts, spread over a collection's corpus."""
    corpus = select(Collection.corpus_id).where(Collection.id == collection_id).scalar_subquery()
    spread = func.hashint8(Excerpt.id)
    found = select(Excerpt.token_ids).where(Excerpt.corpus_id == corpus).order_by(spread).limit(N_EXCERPTS)
    return tuple(session.scalars(found))
