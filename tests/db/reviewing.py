"""Campaigns with their people, made the way production makes them."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.domain.sampling import draw
from app.models import CampaignDraw, Subject
from app.queries.neurons.selection import NeuronSelection
from app.queries.review.campaigns import CampaignRules
from app.queries.review.items import SampleWanted, create_campaign
from app.queries.review.judging import Judgement, give_verdict
from app.queries.review.settling import Judged
from app.queries.review.taking import Reviewer, TakenSlot, take_next
from tests.factories import Make

QUESTION = "Does the explanation say what this neuron fires on?"


@dataclass(frozen=True)
class Cast:
    """A campaign over a subject's explained neurons, and those who judge."""

    campaign_id: int
    subject: Subject
    explanation_ids: tuple[int, ...]
    alice: Reviewer
    """May adjudicate."""
    bob: Reviewer
    dora: Reviewer
    erik: Reviewer

    def take(self, session: Session, who: Reviewer, **more: object) -> TakenSlot:
        found = take_next(session, campaign_id=self.campaign_id, reviewer=who, **more)  # type: ignore[arg-type]  # values of several types
        assert found is not None
        return found

    def judge(self, session: Session, who: Reviewer, kind: str = "holds", **more: object) -> Judged:
        """Take the next item and judge it."""
        return judge(session, self.take(session, who, **more), who, kind, **more)


def judge(session: Session, slot: TakenSlot, who: Reviewer, kind: str = "holds", **more: object) -> Judged:
    return give_verdict(
        session,
        slot_id=slot.id,
        lease_token=slot.lease_token,
        reviewer=who,
        judgement=Judgement(kind),
        **more,  # type: ignore[arg-type]  # values of several types
    )


def reviewing(make: Make, *, n_items: int = 1, verdicts: int = 2) -> Cast:
    """``n_items`` explained neurons in a campaign."""
    session, subject = make.session, make.subject()
    alice, bob, dora, erik = (
        Reviewer(make.account(name, role).id, may_adjudicate=role == "administrator")
        for name, role in (("alice", "administrator"), ("bob", "reviewer"), ("dora", "reviewer"), ("erik", "reviewer"))
    )
    ids = tuple(make.explained(make.neuron(subject, index=i), f"fires on {i}") for i in range(n_items))
    campaign_id = create_campaign(
        session,
        name="First look",
        subject_id=subject.id,
        rules=CampaignRules(QUESTION, verdicts_per_item=verdicts),
        wanted=SampleWanted(NeuronSelection(subject.id), n_items),
        account_id=alice.account_id,
        seed=7,
    )
    return Cast(campaign_id, subject, ids, alice, bob, dora, erik)


def drawn_again(session: Session, *, draw_id: int) -> tuple[int, ...]:
    """The explanation ids that a sample's recorded frame and seed give, in ascending order."""
    row = session.get_one(CampaignDraw, draw_id)
    labels = [stratum["label"] for stratum in row.strata]
    again = draw(row.frame_strata, labels, n=row.parameters["n"], seed=row.seed)
    return tuple(row.frame[i] for i in again.indices)
