"""The demo's audit: twenty items with controls, three finished by simulated reviewers, the rest open to visitors."""

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.review import CampaignState, Confidence, ControlKind, ItemState, ReviewerKind, VerdictKind
from app.errors import Conflict
from app.models import Campaign, CorpusCheck, ReviewVerdict, Subject
from app.queries.neurons.selection import NeuronSelection
from app.queries.review.campaigns import CampaignRules
from app.queries.review.items import SampleWanted, create_campaign
from app.queries.review.judging import Judgement, give_verdict
from app.queries.review.reviewers import reviewer_account
from app.queries.review.shown import ItemShown, item_shown
from app.queries.review.taking import Reviewer, take_next
from app.work.controls import enqueue_controls

NAME = "A first audit"
QUESTION = "Does the explanation say what this neuron fires on?"
INSTRUCTIONS = """Read the excerpts first, also those on which the neuron hardly fires.
Holds: someone who knows only the explanation would colour nearly the same tokens.
Partly: right where it applies, but it claims too much, leaves much out, or the neuron has several meanings.
Fails: wrong, not understandable, or about what the neuron causes rather than what it fires on."""
N_SAMPLED = 16
CONTROL_SHARE = 0.2
N_FINISHED = 3
SEED = 2023
SIMULATED = ("simulated reviewer A", "simulated reviewer B")
ERROR_RATE = 0.1
"""Share of verdicts that a simulated reviewer gives at random."""
HIGH, LOW = 0.6, 0.15
_RIGHT = {
    ControlKind.SWAPPED: VerdictKind.WRONG,
    ControlKind.BROAD: VerdictKind.TOO_BROAD,
    ControlKind.NARROW: VerdictKind.TOO_NARROW,
    ControlKind.KNOWN_FUNCTION: VerdictKind.HOLDS,
}


def create_demo_campaign(session: Session, *, slug: str, account_id: int | None) -> None:
    """Create the campaign and queue its controls, unless it exists or nothing is explained."""
    subject = session.scalars(select(Subject).where(Subject.slug == slug)).one()
    if _campaign(session, subject.id) is not None:
        return
    try:
        with session.begin_nested():
            campaign_id = create_campaign(
                session,
                name=NAME,
                subject_id=subject.id,
                rules=CampaignRules(QUESTION, INSTRUCTIONS, control_share=CONTROL_SHARE),
                wanted=SampleWanted(NeuronSelection(subject.id), N_SAMPLED, parameters={"filters": ""}),
                account_id=account_id,
                seed=SEED,
            )
    except Conflict:  # no neuron is explained yet
        return
    enqueue_controls(session, campaign_id=campaign_id, name=NAME, subject_id=subject.id, account_id=account_id)


def let_simulated_reviewers_begin(session: Session, *, slug: str) -> bool:
    """One simulated reviewer judges every item once, the other completes three; returns whether both are done.

    So each remaining item needs one more verdict, with which a visitor settles or disputes it. False while the campaign
    is being prepared. They judge by precision and recall over the whole corpus, and err at a known rate.
    """
    campaign = _campaign(session, session.scalars(select(Subject.id).where(Subject.slug == slug)).one())
    if campaign is None:
        return True
    if campaign.state == CampaignState.PREPARING:
        return False
    if session.scalar(select(ReviewVerdict.id).where(ReviewVerdict.campaign_id == campaign.id).limit(1)) is not None:
        return True
    for number, (name, n_settled) in enumerate(zip(SIMULATED, (None, N_FINISHED), strict=True)):
        who = Reviewer(reviewer_account(session, name=name, kind=ReviewerKind.SIMULATED))
        _judge(session, campaign.id, who, np.random.default_rng(SEED + number), until_settled=n_settled)
    return True


def _judge(
    session: Session, campaign_id: int, who: Reviewer, generator: np.random.Generator, *, until_settled: int | None
) -> None:
    """Judge items until ``until_settled`` were settled by this reviewer's verdicts, or none is left."""
    n_settled = 0
    while n_settled != until_settled:
        slot = take_next(session, campaign_id=campaign_id, reviewer=who)
        if slot is None:
            return
        kind = _verdict(session, item_shown(session, item_id=slot.item_id), generator)
        judged = give_verdict(
            session,
            slot_id=slot.id,
            lease_token=slot.lease_token,
            reviewer=who,
            judgement=Judgement(kind, Confidence.MEDIUM, detail={"simulated": True, "error_rate": ERROR_RATE}),
        )
        n_settled += judged.state is ItemState.SETTLED


def _verdict(session: Session, item: ItemShown, generator: np.random.Generator) -> VerdictKind:
    if generator.random() < ERROR_RATE:
        return list(VerdictKind)[int(generator.integers(len(VerdictKind)))]
    if item.control is not None:
        return _RIGHT.get(item.control, VerdictKind.CANNOT_TELL)
    check = session.get(CorpusCheck, (item.explanation_id, item.collection_id))
    precision, recall = (0.0, 0.0) if check is None else (check.precision or 0.0, check.recall or 0.0)
    if max(precision, recall) < LOW:
        return VerdictKind.WRONG
    if min(precision, recall) >= HIGH:
        return VerdictKind.HOLDS
    return VerdictKind.TOO_BROAD if precision < recall else VerdictKind.TOO_NARROW


def _campaign(session: Session, subject_id: int) -> Campaign | None:
    return session.scalar(select(Campaign).where(Campaign.subject_id == subject_id, Campaign.name == NAME))
