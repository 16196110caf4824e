"""The item that a reviewer judges: its evidence, its text once it may be shown, and the reviewer."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from fastapi import Depends
from sqlalchemy.orm import Session

from app.domain.heat import heat_steps
from app.domain.review import RENEW_SECONDS, Confidence, SlotKind, VerdictKind
from app.domain.roles import Permission
from app.domain.shown_evidence import Firing, firing
from app.queries.common.prepared import one_statement
from app.queries.neurons.head import NeuronHead, neuron_head
from app.queries.neurons.page import StoredSample
from app.queries.people.accounts import Viewer
from app.queries.review.campaigns import CampaignRules, campaign_head
from app.queries.review.evidence import EvidenceRecords, send_evidence, send_other_texts
from app.queries.review.flags_shown import FlagRaised, send_item_flags
from app.queries.review.own import OwnProgress, OwnVerdict, own_standing, send_own_standing
from app.queries.review.shown import ItemShown, item_shown
from app.queries.review.taking import Reviewer, TakenSlot
from app.web.deps import DbSession, MayReview
from app.web.heat.vocabularies import Vocabularies
from app.web.neuron.address import neighbour_path, path_of
from app.web.neuron.evidence import ExcerptRow, KnownVocabularies, Line, RowSource, excerpt_rows, row_source
from app.web.neuron.simulations import numbers
from app.web.rendering.templating import CurrentView, View


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """An excerpt with its numbers: what leads to the neuron's page is not shown in a blind campaign."""

    excerpt: ExcerptRow
    table: Line


@dataclass(frozen=True, slots=True)
class EvidenceGroup:
    """Excerpts on which the neuron fires about equally, the highest peak first."""

    firing: Firing
    rows: tuple[EvidenceRow, ...]


@dataclass(frozen=True, slots=True)
class Typed:
    """What a reviewer has typed already, to be shown again."""

    kind: VerdictKind | None = None
    confidence: Confidence = Confidence.MEDIUM
    note: str = ""


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """One item, shown to the reviewer who holds it, without the text's author and others' verdicts."""

    slot_id: int
    lease_token: uuid.UUID
    item_id: int
    campaign_id: int
    campaign: str
    rules: CampaignRules
    slot: SlotKind
    progress: OwnProgress
    groups: tuple[EvidenceGroup, ...]
    scale: float
    text: str | None
    """None until the reviewer has requested it."""
    guess: str | None
    others: tuple[str, ...]
    """Other explanations of the neuron, shuffled; empty until the text is shown."""
    flags: tuple[FlagRaised, ...]
    """The flags on the explanation, unless the campaign is blind."""
    address: str | None
    """URL of the neuron's page; None if the campaign is blind."""
    previous: str | None
    next: str | None
    """URLs of the neighbouring neurons' pages, unless the campaign is blind."""
    kinds: tuple[VerdictKind, ...]
    confidences: tuple[Confidence, ...]
    typed: Typed
    last: OwnVerdict | None
    """The reviewer's newest verdict in the campaign."""
    renew_seconds: int = RENEW_SECONDS


@dataclass(frozen=True, slots=True)
class ReviewDone:
    """The state in which no item is left for this reviewer."""

    campaign_id: int
    campaign: str
    progress: OwnProgress
    last: OwnVerdict | None


@dataclass(frozen=True, slots=True)
class ReviewAfter:
    """What a page that shows the next item already needs after a verdict: it to undo, and the item after the next."""

    progress: OwnProgress
    last: OwnVerdict | None
    item: ReviewItem | None
    """The item taken ahead; None if none is left."""


@dataclass(frozen=True, slots=True)
class Desk:
    """The parts of a request that judging needs."""

    session: Session
    view: View
    viewer: Viewer
    known: Vocabularies

    @property
    def reviewer(self) -> Reviewer:
        """The viewer as a reviewer."""
        return Reviewer(self.viewer.id, self.viewer.may(Permission.ADJUDICATE))


def desk(session: DbSession, view: CurrentView, viewer: MayReview, known: KnownVocabularies) -> Desk:
    """The desk of this request. Raises LoginRequired or Forbidden."""
    return Desk(session, view, viewer, known)


AtDesk = Annotated[Desk, Depends(desk, scope="function")]


def done_for(at: Desk, campaign_id: int) -> ReviewDone:
    """The state in which no item is left for the reviewer, with the last judged item."""
    name = campaign_head(at.session, campaign_id=campaign_id).name
    own = own_standing(at.session, campaign_id=campaign_id, account_id=at.viewer.id)
    return ReviewDone(campaign_id, name, own.progress, own.last)


def after_for(at: Desk, campaign_id: int, ahead: TakenSlot | None) -> ReviewAfter:
    """The reviewer's progress and last verdict, and the item that was taken ahead."""
    if ahead is None:
        own = own_standing(at.session, campaign_id=campaign_id, account_id=at.viewer.id)
        return ReviewAfter(own.progress, own.last, None)
    item = item_for(at, ahead)
    return ReviewAfter(item.progress, item.last, item)


def item_for(at: Desk, slot: TakenSlot, typed: Typed | None = None) -> ReviewItem:
    """The item of a held slot; its text once it may be seen."""
    item = item_shown(at.session, item_id=slot.item_id)
    rules = item.rules
    is_told = not rules.asks_guess or slot.guess is not None
    head = neuron_head(at.session, slug=item.slug, layer=item.layer, index=item.index)
    with one_statement(at.session) as asked:
        evidence = send_evidence(asked, item)
        standing = send_own_standing(asked, campaign_id=item.campaign_id, account_id=at.viewer.id)
        others = send_other_texts(asked, item) if is_told else None
        flags = None if rules.is_blind else send_item_flags(asked, item_id=item.id)
    groups, scale = _evidence(at, item, head, evidence.found())
    own = standing.found()
    return ReviewItem(
        slot_id=slot.id,
        lease_token=slot.lease_token,
        item_id=item.id,
        campaign_id=item.campaign_id,
        campaign=item.campaign,
        rules=rules,
        slot=slot.kind,
        progress=own.progress,
        groups=groups,
        scale=scale,
        text=item.text if is_told else None,
        guess=slot.guess,
        others=() if others is None else others.found(),
        flags=() if flags is None else tuple(flags.rows),
        address=None if rules.is_blind else path_of(head),
        previous=None if rules.is_blind else neighbour_path(head, -1),
        next=None if rules.is_blind else neighbour_path(head, 1),
        kinds=tuple(VerdictKind),
        confidences=tuple(Confidence),
        typed=typed or Typed(),
        last=own.last,
    )


def _evidence(
    at: Desk, item: ItemShown, head: NeuronHead, records: EvidenceRecords
) -> tuple[tuple[EvidenceGroup, ...], float]:
    """The item's excerpts by how the neuron fires on them, and the activation that is drawn at full strength."""
    sample = StoredSample("top", item.collection_id or 0, records.excerpt_ids, records.activations)
    source = row_source(at.session, at.known, head=head, samples=[sample], simulations=[])
    rows = [_with_numbers(source, row) for row in excerpt_rows(source, sample)]
    return tuple(_grouped(rows, source.scale)), source.scale


def _with_numbers(source: RowSource, row: ExcerptRow) -> EvidenceRow:
    real = np.array(row.activations, dtype=np.float32)
    return EvidenceRow(row, numbers(source, source.excerpts[row.excerpt_id].token_ids, real, []))


def _grouped(rows: list[EvidenceRow], scale: float) -> Iterator[EvidenceGroup]:
    rows = sorted(rows, key=lambda row: -row.excerpt.peak)
    steps = heat_steps(np.array([row.excerpt.peak for row in rows], dtype=np.float32), scale).tolist()
    for each in Firing:
        own = tuple(row for row, step in zip(rows, steps, strict=True) if firing(step) is each)
        if own:
            yield EvidenceGroup(each, own)
