"""Items taken, judged, settled; every change one event."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.domain.bounds import LONGEST_NOTE
from app.domain.results import ExplanationResult, ScoreResult
from app.domain.review import ItemSource, ItemState, Participants, SlotKind, Stratifier, Verdict
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.models import CampaignDraw, Event, Explanation, ReviewItem, ReviewSlot, ReviewVerdict
from app.queries.explanations.standing import refresh_current
from app.queries.explanations.store import store_candidates
from app.queries.neurons.selection import NeuronSelection
from app.queries.review.campaigns import CampaignRules, campaign_row, change_rules, end_campaign
from app.queries.review.items import (
    ItemsWanted,
    SampleWanted,
    add_items,
    create_campaign,
    withdraw_items,
)
from app.queries.review.judging import Judgement, send_back, undo_verdict
from app.queries.review.taking import LeaseExpired, Reviewer, keep_guess, renew, skip, take_item, take_next
from tests.db.reviewing import QUESTION, drawn_again, judge, reviewing
from tests.factories import Make


def later() -> datetime:
    """Six minutes from now: a lease has passed by then, the time to undo a verdict has not."""
    return datetime.now(UTC) + timedelta(minutes=6)


def item(session: Session, item_id: int) -> ReviewItem:
    return session.get_one(ReviewItem, item_id, populate_existing=True)


def n_events(session: Session) -> int:
    session.flush()
    return session.scalar(select(func.count()).select_from(Event)) or 0


def test_two_reviewers_settle_an_item_each_by_one_event(session: Session, make: Make) -> None:
    cast = reviewing(make)
    before = n_events(session)
    first = cast.judge(session, cast.bob, "too_broad")
    second = cast.judge(session, cast.dora, "too_narrow")
    assert (first.state, second.state, second.outcome) == (ItemState.OPEN, ItemState.SETTLED, Verdict.PARTLY)
    assert n_events(session) == before + 2
    assert campaign_row(session, campaign_id=cast.campaign_id).counts.settled == 1


def test_who_disagrees_is_followed_by_a_third_and_then_by_an_adjudicator(session: Session, make: Make) -> None:
    cast = reviewing(make)
    cast.judge(session, cast.bob, "holds")
    assert cast.judge(session, cast.dora, "wrong").state is ItemState.DISPUTED
    assert take_next(session, campaign_id=cast.campaign_id, reviewer=cast.bob) is None
    third = cast.take(session, cast.erik)
    assert third.kind is SlotKind.FURTHER
    judge(session, third, cast.erik, "too_broad")
    frank = Reviewer(make.account("frank", "reviewer").id)
    assert take_next(session, campaign_id=cast.campaign_id, reviewer=frank) is None  # may not adjudicate
    decided = cast.judge(session, cast.alice, "wrong")
    assert (decided.state, decided.outcome) == (ItemState.SETTLED, Verdict.FAILS)


def test_nobody_gets_an_item_twice(session: Session, make: Make) -> None:
    cast = reviewing(make, n_items=3)
    seen = [cast.judge(session, cast.bob).item_id for _ in range(3)]
    assert len(set(seen)) == 3
    assert take_next(session, campaign_id=cast.campaign_id, reviewer=cast.bob) is None


def test_nobody_gets_their_own_explanation(session: Session, make: Make) -> None:
    cast = reviewing(make)
    neuron = make.neuron(cast.subject, layer=1)
    own = make.explanation(neuron, account_id=cast.bob.account_id)
    wanted = ItemsWanted(ItemSource.FILTER, [own.id])
    add_items(session, campaign_id=cast.campaign_id, wanted=wanted, account_id=cast.alice.account_id)
    cast.judge(session, cast.bob)
    assert take_next(session, campaign_id=cast.campaign_id, reviewer=cast.bob) is None
    theirs = session.scalars(select(ReviewItem.id).where(ReviewItem.explanation_id == own.id)).one()
    with pytest.raises(Conflict, match="your own"):
        take_item(session, item_id=theirs, reviewer=cast.bob)
    assert take_item(session, item_id=theirs, reviewer=cast.dora).item_id == theirs


def test_an_open_page_gets_its_item_again_and_can_take_the_next_ahead(session: Session, make: Make) -> None:
    cast = reviewing(make, n_items=2)
    first = cast.take(session, cast.bob)
    assert cast.take(session, cast.bob).id == first.id
    ahead = cast.take(session, cast.bob, besides=first.id)
    assert ahead.item_id != first.item_id
    assert cast.take(session, cast.bob, besides=first.id).id == ahead.id


def test_a_lease_that_has_passed_frees_the_item_and_refuses_the_verdict(session: Session, make: Make) -> None:
    cast = reviewing(make, verdicts=1)
    slot = cast.take(session, cast.bob)
    taken_over = cast.take(session, cast.dora, now=later())
    assert (taken_over.id, taken_over.lease_token == slot.lease_token) == (slot.id, False)
    with pytest.raises(LeaseExpired):
        judge(session, slot, cast.bob)
    assert judge(session, taken_over, cast.dora, now=later()).state is ItemState.SETTLED


def test_a_renewed_lease_holds_and_a_passed_one_cannot_be_renewed(session: Session, make: Make) -> None:
    cast = reviewing(make, verdicts=1)
    slot = cast.take(session, cast.bob)
    in_time = datetime.now(UTC) + timedelta(minutes=4)
    renew(session, slot_id=slot.id, lease_token=slot.lease_token, reviewer=cast.bob, now=in_time)
    assert take_next(session, campaign_id=cast.campaign_id, reviewer=cast.dora, now=later()) is None
    much_later = later() + timedelta(minutes=10)
    with pytest.raises(LeaseExpired):
        renew(session, slot_id=slot.id, lease_token=slot.lease_token, reviewer=cast.bob, now=much_later)


def test_a_renewal_that_arrives_after_the_verdict_of_its_page_is_no_error(session: Session, make: Make) -> None:
    cast = reviewing(make)
    slot = cast.take(session, cast.bob)
    judge(session, slot, cast.bob)
    assert renew(session, slot_id=slot.id, lease_token=slot.lease_token, reviewer=cast.bob) is None
    with pytest.raises(LeaseExpired):
        renew(session, slot_id=slot.id, lease_token=slot.lease_token, reviewer=cast.dora)


def test_a_renewal_after_a_skip_is_no_error_until_a_lease_has_passed(session: Session, make: Make) -> None:
    cast = reviewing(make)
    slot = cast.take(session, cast.bob)
    sent: dict[str, Any] = {"slot_id": slot.id, "lease_token": slot.lease_token, "reviewer": cast.bob}
    skip(session, **sent)
    assert renew(session, **sent) is None
    with pytest.raises(LeaseExpired):
        renew(session, **sent, now=later())


@pytest.mark.parametrize("wrong", ["token", "reviewer"])
def test_only_who_holds_a_slot_changes_it(session: Session, make: Make, wrong: str) -> None:
    cast = reviewing(make)
    slot = cast.take(session, cast.bob)
    token = uuid.uuid4() if wrong == "token" else slot.lease_token
    who = cast.dora if wrong == "reviewer" else cast.bob
    for act in (renew, skip):
        with pytest.raises(LeaseExpired):
            act(session, slot_id=slot.id, lease_token=token, reviewer=who)
    with pytest.raises(LeaseExpired):
        keep_guess(session, slot_id=slot.id, lease_token=token, reviewer=who, guess="cats")


def test_a_guess_is_kept_once_and_stands_with_the_verdict(session: Session, make: Make) -> None:
    cast = reviewing(make)
    slot = cast.take(session, cast.bob)
    for guess in (" cats ", "dogs, now that I have read it"):
        keep_guess(session, slot_id=slot.id, lease_token=slot.lease_token, reviewer=cast.bob, guess=guess)
    verdict = session.get_one(ReviewVerdict, judge(session, slot, cast.bob).verdict_id)
    assert verdict.guess == "cats"
    assert verdict.seconds is not None


def test_skipped_items_come_last_and_in_the_order_of_skipping(session: Session, make: Make) -> None:
    cast = reviewing(make, n_items=3)
    skipped: list[int] = []
    for _ in range(2):
        slot = cast.take(session, cast.bob)
        moment = datetime.now(UTC) + timedelta(seconds=len(skipped))
        skip(session, slot_id=slot.id, lease_token=slot.lease_token, reviewer=cast.bob, now=moment)
        skipped.append(slot.item_id)
    assert [cast.judge(session, cast.bob).item_id for _ in range(3)][1:] == skipped


def test_an_undone_verdict_is_a_newer_row_and_opens_the_item_again(session: Session, make: Make) -> None:
    cast = reviewing(make)
    cast.judge(session, cast.dora)
    judged = cast.judge(session, cast.bob)
    before = n_events(session)
    slot = undo_verdict(session, verdict_id=judged.verdict_id, reviewer=cast.bob)
    assert item(session, judged.item_id).state == ItemState.OPEN
    assert n_events(session) == before + 1
    assert judge(session, slot, cast.bob, "wrong").state is ItemState.DISPUTED
    assert len(session.scalars(select(ReviewVerdict)).all()) == 4


def test_undoing_a_disagreement_takes_the_further_slot_away(session: Session, make: Make) -> None:
    cast = reviewing(make)
    cast.judge(session, cast.dora)
    judged = cast.judge(session, cast.bob, "wrong")
    slot = undo_verdict(session, verdict_id=judged.verdict_id, reviewer=cast.bob)
    assert take_next(session, campaign_id=cast.campaign_id, reviewer=cast.erik) is None
    assert judge(session, slot, cast.bob).outcome is Verdict.HOLDS


def test_what_cannot_be_undone_says_why(session: Session, make: Make) -> None:
    cast = reviewing(make)
    first = cast.judge(session, cast.bob)
    with pytest.raises(NotFound):
        undo_verdict(session, verdict_id=first.verdict_id, reviewer=cast.dora)
    with pytest.raises(Conflict, match="ten minutes"):
        undo_verdict(session, verdict_id=first.verdict_id, reviewer=cast.bob, now=later() + timedelta(minutes=5))
    cast.judge(session, cast.dora, "wrong")
    cast.judge(session, cast.erik, "wrong")
    with pytest.raises(Conflict, match="Other verdicts are based"):
        undo_verdict(session, verdict_id=first.verdict_id, reviewer=cast.bob)


def test_an_item_that_was_sent_back_is_judged_by_somebody_else(session: Session, make: Make) -> None:
    cast = reviewing(make)
    for who in (cast.bob, cast.dora):
        judged = cast.judge(session, who)
    send_back(session, item_id=judged.item_id, account_id=cast.alice.account_id, note="look again")
    assert item(session, judged.item_id).outcome is None
    assert cast.judge(session, cast.erik, "wrong").state is ItemState.DISPUTED
    assert cast.judge(session, cast.alice, "wrong").outcome is Verdict.FAILS
    with pytest.raises(NotFound):
        send_back(session, item_id=10**9, account_id=cast.alice.account_id, note="")


@pytest.mark.parametrize("change", ["UPDATE verdict SET note = 'x'", "DELETE FROM verdict", "TRUNCATE verdict CASCADE"])
def test_the_database_refuses_to_change_a_verdict(session: Session, make: Make, change: str) -> None:
    cast = reviewing(make)
    cast.judge(session, cast.bob)
    with pytest.raises(DBAPIError, match="never changed or deleted"):
        session.execute(text(change))


def test_the_database_refuses_a_second_slot_of_an_item_for_one_reviewer(session: Session, make: Make) -> None:
    cast = reviewing(make)
    cast.judge(session, cast.bob)
    with pytest.raises(DBAPIError, match="uq_review_slot"):
        session.execute(
            text("UPDATE review_slot SET account_id = :a, state = 'judged' WHERE state = 'free'"),
            {"a": cast.bob.account_id},
        )


def test_a_sample_is_drawn_again_from_what_was_recorded(session: Session, make: Make) -> None:
    subject = make.subject(neurons_per_layer=20)
    for layer in (0, 1):
        for index in range(20):
            make.explained(make.neuron(subject, layer, index), f"fires on {layer} {index}", index / 20)
    wanted = SampleWanted(NeuronSelection(subject.id), 12, Stratifier.SCORE_2023_BAND)
    campaign_id = create_campaign(
        session, name="n", subject_id=subject.id, rules=CampaignRules(QUESTION), wanted=wanted, account_id=None, seed=3
    )
    draw = session.scalars(select(CampaignDraw).where(CampaignDraw.campaign_id == campaign_id)).one()
    ids = session.scalars(select(ReviewItem.explanation_id).order_by(ReviewItem.explanation_id)).all()
    make.explained(make.neuron(subject, 1, 30), "a newer one")
    assert drawn_again(session, draw_id=draw.id) == tuple(ids)
    assert [s["label"] for s in draw.strata] == ["below 0.2", "0.2 to 0.4", "0.4 to 0.6", "0.6 to 0.8", "0.8 and above"]
    assert sum(s["population"] for s in draw.strata) == 40
    assert sum(s["n"] for s in draw.strata) == len(ids) == 12


def test_score_bands_are_of_the_whole_corpus_score_and_the_item_keeps_both(session: Session, make: Make) -> None:
    subject, method = make.subject(neurons_per_layer=4), make.method()
    for index, corpus in enumerate((0.1, 0.5, None, 0.15)):
        neuron = make.neuron(subject, 0, index)
        scores = [ScoreResult("correlation", "top_and_random", 0.9, 10, 0, simulator="lexical")]
        if corpus is not None:
            scores.append(ScoreResult("whole_corpus", "corpus", corpus, 35, 0, simulator="lexical"))
        result = ExplanationResult(f"fires on {index}", scores=tuple(scores))
        store_candidates(session, neuron_id=neuron.id, results=[result], author=make.run_of(neuron, method))
        refresh_current(session, neuron_id=neuron.id)
    wanted = SampleWanted(NeuronSelection(subject.id), 4, Stratifier.SCORE_BAND)
    campaign_id = create_campaign(
        session, name="n", subject_id=subject.id, rules=CampaignRules(QUESTION), wanted=wanted, account_id=None, seed=3
    )
    draw = session.scalars(select(CampaignDraw).where(CampaignDraw.campaign_id == campaign_id)).one()
    assert {s["label"]: s["population"] for s in draw.strata} == {"below 0.2": 2, "0.4 to 0.6": 1, "not scored": 1}
    kept = session.execute(select(ReviewItem.headline, ReviewItem.score).order_by(ReviewItem.explanation_id)).all()
    assert [tuple(row) for row in kept] == [(0.1, 0.9), (0.5, 0.9), (None, 0.9), (0.15, 0.9)]


def test_a_change_of_rules_is_a_new_version_that_later_verdicts_name(session: Session, make: Make) -> None:
    cast = reviewing(make, n_items=2)
    cast.judge(session, cast.bob)
    rules = CampaignRules(QUESTION, instructions="Read the false alarms too.")
    change_rules(session, campaign_id=cast.campaign_id, rules=rules, account_id=cast.alice.account_id)
    cast.judge(session, cast.bob)
    assert session.scalars(select(ReviewVerdict.version).order_by(ReviewVerdict.id)).all() == [1, 2]
    with pytest.raises(Conflict, match="already"):
        change_rules(session, campaign_id=cast.campaign_id, rules=rules, account_id=cast.alice.account_id)


def test_only_named_accounts_take_part_where_they_are_named(session: Session, make: Make) -> None:
    cast = reviewing(make)
    rules = CampaignRules(QUESTION, participants=Participants.NAMED, account_ids=(cast.bob.account_id,))
    change_rules(session, campaign_id=cast.campaign_id, rules=rules, account_id=cast.alice.account_id)
    with pytest.raises(Forbidden):
        cast.take(session, cast.dora)
    cast.take(session, cast.bob)


def test_an_ended_campaign_takes_no_verdict(session: Session, make: Make) -> None:
    cast = reviewing(make)
    slot = cast.take(session, cast.bob)
    end_campaign(session, campaign_id=cast.campaign_id, account_id=cast.alice.account_id)
    with pytest.raises(Conflict, match="ended"), session.begin_nested():
        judge(session, slot, cast.bob)
    with pytest.raises(Conflict, match="ended"):
        cast.take(session, cast.dora)


def test_what_was_added_is_taken_out_again_as_far_as_nobody_has_judged(session: Session, make: Make) -> None:
    cast = reviewing(make)
    cast.judge(session, cast.bob)
    texts = [make.explanation(make.neuron(cast.subject, 1, i)).id for i in range(3)]
    added = add_items(
        session,
        campaign_id=cast.campaign_id,
        wanted=ItemsWanted(ItemSource.FILTER, texts),
        account_id=cast.alice.account_id,
    )
    cast.judge(session, cast.bob)
    assert len(withdraw_items(session, draw_id=added.draw_id, account_id=cast.alice.account_id)) == 2
    assert take_next(session, campaign_id=cast.campaign_id, reviewer=cast.bob) is None


def test_a_sample_cannot_be_taken_out(session: Session, make: Make) -> None:
    cast = reviewing(make)
    (draw_id,) = session.scalars(select(CampaignDraw.id)).all()
    with pytest.raises(Conflict, match="estimate"):
        withdraw_items(session, draw_id=draw_id, account_id=cast.alice.account_id)


BAD_RULES: list[Callable[[], object]] = [
    lambda: CampaignRules(" "),
    lambda: CampaignRules(QUESTION, verdicts_per_item=6),
    lambda: CampaignRules(QUESTION, verdicts_per_item=0),
    lambda: CampaignRules(QUESTION, control_share=0.6),
    lambda: CampaignRules(QUESTION, control_share=float("nan")),
    lambda: CampaignRules(QUESTION, account_ids=(1,)),
    lambda: Judgement("perhaps"),
    lambda: Judgement("holds", confidence="very"),
    lambda: Judgement("holds", note="x" * (LONGEST_NOTE + 1)),
]


@pytest.mark.parametrize("make_rules", BAD_RULES)
def test_rules_and_judgements_out_of_bounds_are_refused(make_rules: Callable[[], object]) -> None:
    with pytest.raises(Invalid):
        make_rules()


def test_slots_and_items_that_do_not_exist_are_not_found(session: Session, make: Make) -> None:
    cast = reviewing(make)
    for number in (0, -1, 10**9, 2**63, 10**30):
        with pytest.raises(NotFound):
            take_next(session, campaign_id=number, reviewer=cast.bob)
        with pytest.raises(NotFound):
            take_item(session, item_id=number, reviewer=cast.bob)
    assert session.scalar(select(func.count()).select_from(ReviewSlot)) == 2
    assert session.scalar(select(func.count()).select_from(Explanation)) == 1
