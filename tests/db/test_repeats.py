"""Settled items that are asked about again in the same campaign."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.review import ControlKind, ItemSource
from app.models import Campaign, ReviewControl, ReviewItem, ReviewSlot
from app.queries.audit.export import ExportedTable, ItemLine, exported_lines
from app.queries.audit.figures import campaign_figures
from app.queries.neurons.selection import NeuronSelection
from app.queries.review.campaigns import CampaignRules
from app.queries.review.controls import control_material, store_controls
from app.queries.review.items import SampleWanted, create_campaign
from app.queries.review.judging import send_back, undo_verdict
from app.queries.review.taking import Reviewer, TakenSlot, take_item, take_next
from tests.db.reviewing import judge
from tests.factories import Make

N_ITEMS = 9


def campaign(make: Make, *, n_repeated: int = 2) -> tuple[int, Reviewer]:
    """Nine items, one verdict each, of which the first ``n_repeated`` are to be repeated; and bob."""
    session, subject = make.session, make.subject(neurons_per_layer=N_ITEMS)
    bob = Reviewer(make.account("bob", "reviewer").id)
    for index in range(N_ITEMS):
        make.explained(make.neuron(subject, index=index), f"fires on {index}")
    campaign_id = create_campaign(
        session,
        name="Repeats",
        subject_id=subject.id,
        rules=CampaignRules("Does it hold?", verdicts_per_item=1, control_share=0.4),
        wanted=SampleWanted(NeuronSelection(subject.id), N_ITEMS),
        account_id=None,
        seed=3,
    )
    repeatable = control_material(session, campaign_id=campaign_id).repeatable
    assert len(repeatable) == N_ITEMS // 2
    store_controls(session, campaign_id=campaign_id, controls=[], repeated=repeatable[:n_repeated])
    session.flush()
    return campaign_id, bob


def taken(session: Session, campaign_id: int, who: Reviewer) -> TakenSlot | None:
    return take_next(session, campaign_id=campaign_id, reviewer=who)


def truths(session: Session, campaign_id: int) -> list[str | None]:
    """Of the repeats, as figures and exports have them."""
    lines = exported_lines(session, campaign_id=campaign_id, table=ExportedTable.ITEMS)
    return [line.truth for line in lines if isinstance(line, ItemLine) and line.control == ControlKind.REPEAT]


def repeats(session: Session) -> list[ReviewControl]:
    rows = select(ReviewControl).where(ReviewControl.kind == ControlKind.REPEAT).order_by(ReviewControl.item_id)
    return list(session.scalars(rows.execution_options(populate_existing=True)))


def test_a_settled_item_comes_again_at_a_distance_with_its_outcome_as_the_truth(session: Session, make: Make) -> None:
    campaign_id, bob = campaign(make)
    order = []
    while (slot := taken(session, campaign_id, bob)) is not None:
        order.append(slot.item_id)
        judge(session, slot, bob, "wrong" if len(order) % 2 else "holds")
    assert len(order) == len(set(order)) == N_ITEMS + 2
    for control in repeats(session):
        original = session.get_one(ReviewItem, control.repeats_item_id)
        repeat = session.get_one(ReviewItem, control.item_id)
        assert control.truth == original.outcome
        assert (repeat.source, repeat.explanation_id) == (ItemSource.CONTROL, original.explanation_id)
        assert order.index(repeat.id) - order.index(original.id) >= 3
    figures = campaign_figures(session, campaign_id=campaign_id, width=0.1, shows_controls=True)
    assert figures.controls is not None
    assert figures.controls.n_repeats == 2
    assert figures.sample is not None
    assert figures.n_items == N_ITEMS + 2


def test_an_item_that_is_not_drawn_or_not_decided_is_not_repeated(session: Session, make: Make) -> None:
    campaign_id, bob = campaign(make, n_repeated=1)
    first = taken(session, campaign_id, bob)
    assert first is not None
    judge(session, first, bob, "cannot_tell")
    while (slot := taken(session, campaign_id, bob)) is not None:
        judge(session, slot, bob)
    assert repeats(session) == []


def test_a_newer_outcome_is_the_truth_and_makes_no_second_repeat(session: Session, make: Make) -> None:
    campaign_id, bob = campaign(make, n_repeated=1)
    first = taken(session, campaign_id, bob)
    assert first is not None
    judged = judge(session, first, bob, "holds")
    assert truths(session, campaign_id) == ["holds"]
    again = undo_verdict(session, verdict_id=judged.verdict_id, reviewer=bob)
    judge(session, again, bob, "wrong")
    assert truths(session, campaign_id) == ["fails"]
    carol = Reviewer(make.account("carol", "reviewer").id)
    send_back(session, item_id=first.item_id, account_id=bob.account_id, note="look again")
    assert truths(session, campaign_id) == ["holds"]  # what was stored, while there is no outcome
    judge(session, take_item(session, item_id=first.item_id, reviewer=carol), carol, "wrong")
    assert truths(session, campaign_id) == ["fails"]
    assert len(repeats(session)) == 1


def test_a_repeat_has_the_slots_of_the_rules_and_waits_like_any_other_item(session: Session, make: Make) -> None:
    campaign_id, bob = campaign(make, n_repeated=1)
    first = taken(session, campaign_id, bob)
    assert first is not None
    judge(session, first, bob)
    (control,) = repeats(session)
    slots = session.scalars(select(ReviewSlot).where(ReviewSlot.item_id == control.item_id)).all()
    assert [(slot.kind, slot.state) for slot in slots] == [("review", "free")]
    later = datetime.now(UTC) + timedelta(minutes=6)
    assert take_item(session, item_id=control.item_id, reviewer=bob, now=later).item_id == control.item_id
    assert session.get_one(Campaign, campaign_id).state == "open"
