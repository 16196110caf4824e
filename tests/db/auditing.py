"""A campaign that was judged, made the way production makes it: sample, controls, verdicts, disputes."""

from dataclasses import dataclass
from itertools import cycle

from sqlalchemy.orm import Session

from app.domain.review import ControlKind, Stratifier, VerdictKind
from app.domain.samples import SampleKind
from app.models import Explanation, ReviewControl, ReviewItem, Subject
from app.queries.neurons.selection import NeuronSelection
from app.queries.review.campaigns import CampaignRules, end_campaign
from app.queries.review.controls import MadeControl, store_controls
from app.queries.review.items import SampleWanted, create_campaign
from app.queries.review.judging import Judgement, give_verdict
from app.queries.review.taking import Reviewer, TakenSlot, take_next
from tests.factories import Make

N_NEURONS = 24
RIGHT = "=fires on"
"""Explanations with it hold, says everybody; its first character must not become a formula."""


@dataclass(frozen=True)
class Audit:
    """A campaign over two layers with four controls, and its people."""

    campaign_id: int
    subject: Subject
    alice: Reviewer
    """May adjudicate."""
    bob: Reviewer
    dora: Reviewer


def audited(make: Make, *, judged: bool = True, ended: bool = False) -> Audit:
    """A sample of 16 of 24 explanations, stratified by layer, with two verdicts each and four controls.

    Explanations that begin with ``RIGHT`` hold; on one of three others the reviewers disagree and alice decides.
    """
    session, subject = make.session, make.subject(neurons_per_layer=N_NEURONS // 2)
    alice, bob, dora = (
        Reviewer(make.account(name, role).id, may_adjudicate=role == "administrator")
        for name, role in (("alice", "administrator"), ("bob", "reviewer"), ("dora", "reviewer"))
    )
    ids = []
    for i in range(N_NEURONS):
        neuron = make.neuron(subject, i % 2, i // 2, firing_rate=0.0005 * (i + 1))
        make.sample(neuron, subject, SampleKind.TOP, rows=((0.0, 4.0, 0.0, 1.0), (0.5, 0.0, 2.0, 0.0)))
        words = RIGHT if i % 3 else "about"
        ids.append(make.explained(neuron, f"{words} {i}", 0.9 - i / 60 if i % 3 else 0.3 - i / 100))
    campaign_id = create_campaign(
        session,
        name="First audit",
        subject_id=subject.id,
        rules=CampaignRules("Does it hold?", "Read the excerpts first.", verdicts_per_item=2, control_share=0.2),
        wanted=SampleWanted(NeuronSelection(subject.id), 16, Stratifier.LAYER),
        account_id=alice.account_id,
        seed=11,
    )
    controls = [
        MadeControl(ControlKind.SWAPPED, ids[1], "about something else"),
        MadeControl(ControlKind.BROAD, ids[2], "fires on everything"),
        MadeControl(ControlKind.KNOWN_FUNCTION, ids[4]),
        MadeControl(ControlKind.KNOWN_FUNCTION, ids[5]),
    ]
    store_controls(session, campaign_id=campaign_id, controls=controls)
    audit = Audit(campaign_id, subject, alice, bob, dora)
    if judged:
        judge_all(session, audit)
    if ended:
        end_campaign(session, campaign_id=campaign_id, account_id=alice.account_id)
    return audit


def judge_all(session: Session, audit: Audit) -> None:
    """Both reviewers judge all that they are given, then the adjudicator what they disagree on."""
    disputed = cycle((False, True, False))
    for reviewer in (audit.bob, audit.dora):
        while (slot := take_next(session, campaign_id=audit.campaign_id, reviewer=reviewer)) is not None:
            text = shown_text(session, slot)
            if text.startswith(RIGHT):
                kind = VerdictKind.HOLDS
            else:
                kind = VerdictKind.TOO_BROAD if reviewer is audit.dora and next(disputed) else VerdictKind.WRONG
            judge(session, slot, reviewer, kind)
    while (slot := take_next(session, campaign_id=audit.campaign_id, reviewer=audit.alice)) is not None:
        judge(session, slot, audit.alice, VerdictKind.WRONG, "It claims too much.\nAnd too little.")


def judge(session: Session, slot: TakenSlot, reviewer: Reviewer, kind: VerdictKind, note: str = "") -> None:
    """A verdict as the page gives it."""
    judgement = Judgement(kind, note=note)
    give_verdict(session, slot_id=slot.id, lease_token=slot.lease_token, reviewer=reviewer, judgement=judgement)


def shown_text(session: Session, slot: TakenSlot) -> str:
    """The text that a reviewer sees."""
    control = session.get(ReviewControl, slot.item_id)
    if control is not None and control.planted_text is not None:
        return control.planted_text
    item = session.get_one(ReviewItem, slot.item_id)
    return session.get_one(Explanation, item.explanation_id).text
