"""What reviewers have settled decides which explanation is shown."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.neurons import NeuronState
from app.domain.review import ControlKind, ItemSource
from app.models import Explanation, Neuron, RejectedExplanation
from app.queries.neurons.filters import NeuronFilter
from app.queries.neurons.listing import NeuronsQuery, neurons_page
from app.queries.review.campaigns import CampaignRules
from app.queries.review.controls import MadeControl, store_controls
from app.queries.review.flags import open_flag, resolve_flag
from app.queries.review.items import ItemsWanted, create_campaign
from app.queries.review.judging import send_back
from app.queries.review.taking import take_item, take_next
from tests.db.reviewing import QUESTION, Cast, judge, reviewing
from tests.factories import Make


def neuron_of(session: Session, explanation_id: int) -> Neuron:
    neuron_id = session.get_one(Explanation, explanation_id).neuron_id
    return session.get_one(Neuron, neuron_id, populate_existing=True)


def rejected(session: Session) -> set[int]:
    return set(session.scalars(select(RejectedExplanation.explanation_id)))


def needing(session: Session, cast: Cast) -> list[int]:
    query = NeuronsQuery(cast.subject.id, NeuronFilter(state=NeuronState.NEEDS_EXPLANATION))
    return [row.index for row in neurons_page(session, query=query, size=9).rows]


def test_an_explanation_that_fails_in_a_campaign_makes_way_for_the_next(session: Session, make: Make) -> None:
    cast = reviewing(make, verdicts=1)
    (judged,) = cast.explanation_ids
    neuron = neuron_of(session, judged)
    older = make.explained(neuron, "fires on dogs", 0.4)
    assert neuron.current_explanation_id == older  # the newest; the judged one is another
    cast.judge(session, cast.bob, "wrong")
    assert rejected(session) == {judged}
    assert neuron_of(session, judged).current_explanation_id == older
    assert needing(session, cast) == []


def test_a_neuron_without_another_explanation_needs_one(session: Session, make: Make) -> None:
    cast = reviewing(make, verdicts=1)
    cast.judge(session, cast.bob, "unreadable")
    neuron = neuron_of(session, cast.explanation_ids[0])
    assert (neuron.current_explanation_id, neuron.current_text, neuron.n_explanations) == (None, None, 1)
    assert needing(session, cast) == [0]


def test_partly_rejects_for_a_flag_and_not_in_a_campaign(session: Session, make: Make) -> None:
    cast = reviewing(make, verdicts=1)
    (explanation_id,) = cast.explanation_ids
    cast.judge(session, cast.bob, "too_broad")
    assert rejected(session) == set()
    flag_id = open_flag(
        session, explanation_id=explanation_id, account_id=cast.alice.account_id, reason="too_broad", note=""
    )
    resolve_flag(session, flag_id=flag_id, reviewer=cast.dora, kind="too_broad", note="")
    assert rejected(session) == {explanation_id}


def test_the_newest_settled_judgement_decides(session: Session, make: Make) -> None:
    cast = reviewing(make, verdicts=1)
    (explanation_id,) = cast.explanation_ids
    cast.judge(session, cast.bob, "wrong")
    assert rejected(session) == {explanation_id}
    flag_id = open_flag(
        session, explanation_id=explanation_id, account_id=cast.alice.account_id, reason="wrong", note=""
    )
    resolve_flag(session, flag_id=flag_id, reviewer=cast.dora, kind="holds", note="")
    assert rejected(session) == set()
    assert neuron_of(session, explanation_id).current_explanation_id == explanation_id


def test_who_cannot_tell_decides_nothing(session: Session, make: Make) -> None:
    cast = reviewing(make, verdicts=1)
    (explanation_id,) = cast.explanation_ids
    cast.judge(session, cast.bob, "wrong")
    flag_id = open_flag(
        session, explanation_id=explanation_id, account_id=cast.alice.account_id, reason="wrong", note=""
    )
    resolve_flag(session, flag_id=flag_id, reviewer=cast.dora, kind="cannot_tell", note="")
    assert rejected(session) == {explanation_id}


def test_an_item_that_is_sent_back_rejects_nothing_until_it_is_settled_again(session: Session, make: Make) -> None:
    cast = reviewing(make, verdicts=1)
    (explanation_id,) = cast.explanation_ids
    item_id = cast.judge(session, cast.bob, "wrong").item_id
    send_back(session, item_id=item_id, account_id=cast.alice.account_id, note="")
    assert rejected(session) == set()
    judge(session, take_item(session, item_id=item_id, reviewer=cast.dora), cast.dora, "wrong")
    assert rejected(session) == {explanation_id}


def test_a_control_decides_nothing_about_the_explanation_that_it_stands_in_for(session: Session, make: Make) -> None:
    cast = reviewing(make)
    other = make.explained(make.neuron(cast.subject, layer=1), "fires on dogs")
    campaign_id = create_campaign(
        session,
        name="With controls",
        subject_id=cast.subject.id,
        rules=CampaignRules(QUESTION, verdicts_per_item=1, control_share=0.5),
        wanted=ItemsWanted(ItemSource.FILTER, cast.explanation_ids),
        account_id=cast.alice.account_id,
        seed=7,
    )
    planted = MadeControl(ControlKind.SWAPPED, other, planted_text="fires on cats")
    store_controls(session, campaign_id=campaign_id, controls=[planted])
    for _ in range(2):
        slot = take_next(session, campaign_id=campaign_id, reviewer=cast.bob)
        assert slot is not None
        judge(session, slot, cast.bob, "wrong")
    assert rejected(session) == set(cast.explanation_ids)
