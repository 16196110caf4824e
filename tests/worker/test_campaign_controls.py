"""Controls of a campaign, made by a worker's task from explanations that can be executed."""

import uuid
from collections import Counter
from threading import Event as Signal

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.db import Sessions, transaction
from app.domain.review import CampaignState, ControlKind, ItemSource, Verdict
from app.domain.work import CONTROLS, Lane
from app.models import Campaign, CampaignDraw, CorpusCheck, Neuron, ReviewControl, ReviewItem, ReviewSlot, Task
from app.queries.neurons.selection import NeuronSelection
from app.queries.review.campaigns import CampaignRules
from app.queries.review.controls import KNOWN_LEAST
from app.queries.review.evidence import other_texts
from app.queries.review.items import SampleWanted, create_campaign
from app.queries.review.shown import item_shown
from app.settings import Settings
from app.work.controls import enqueue_controls
from tests.factories import Make
from worker.lexical.controls import kinds_wanted
from worker.run.controls import ControlsHandler
from worker.run.loop import WorkerContext, WorkLoop

TEXTS = ('fires on " cat", " sat" and " on"', 'fires on " import" and "("', 'fires on " the", ")" and "\\n"')


def campaign(make: Make, *, n_neurons: int = 12, n_items: int = 6, share: float = 0.4) -> int:
    """Explained neurons, half of which are known to hold, and a campaign that waits for its controls."""
    session, subject = make.session, make.subject()
    for i in range(30):
        make.excerpt(subject, [(i * 7 + j * 3) % 12 for j in range(8)])
    for index in range(n_neurons):
        neuron = make.neuron(subject, index=index)
        make.collected(neuron, subject)
        explanation_id = make.explained(neuron, TEXTS[index % len(TEXTS)])
        n_right = 95 if index % 2 else 30
        session.add(
            CorpusCheck(
                explanation_id=explanation_id,
                collection_id=subject.collection_id,
                reading="",
                firing_level=3,
                n_tokens=800,
                n_firing=100,
                n_claimed=100,
                n_right=n_right,
                code_version="test",
            )
        )
    campaign_id = create_campaign(
        session,
        name="With controls",
        subject_id=subject.id,
        rules=CampaignRules("Does it hold?", control_share=share),
        wanted=SampleWanted(NeuronSelection(subject.id), n_items),
        account_id=None,
        seed=11,
    )
    enqueue_controls(session, campaign_id=campaign_id, name="c", subject_id=subject.id, account_id=None)
    session.flush()
    return campaign_id


def work(sessions: Sessions) -> Task:
    """Let a worker take the task, and return it as it is then."""
    handlers = {CONTROLS.name: ControlsHandler(sessions)}
    context = WorkerContext(Settings(), sessions, handlers, uuid.uuid4(), Signal(), Signal())
    assert WorkLoop(context, Lane.INTERACTIVE).run_one()
    with transaction(sessions) as session:
        return session.scalars(select(Task).order_by(Task.id.desc()).limit(1)).one()


def controls(session: Session) -> list[tuple[ReviewControl, ReviewItem]]:
    rows = session.execute(select(ReviewControl, ReviewItem).join(ReviewItem, ReviewItem.id == ReviewControl.item_id))
    return [(control, item) for control, item in rows]


def test_a_worker_makes_the_controls_and_opens_the_campaign(sessions: Sessions, make: Make, session: Session) -> None:
    campaign_id = campaign(make)
    assert session.get_one(Campaign, campaign_id).state == CampaignState.PREPARING
    task = work(sessions)
    assert (task.status, task.result) == ("succeeded", {"n_wanted": 4, "n_made": 4})
    session.expire_all()
    assert session.get_one(Campaign, campaign_id).state == CampaignState.OPEN
    found = controls(session)
    kinds = Counter(control.kind for control, _ in found)
    assert kinds == {"known_function": 2, "swapped": 1, "broad": 1}
    for control, item in found:
        shown = item_shown(session, item_id=item.id)
        assert (control.planted_text is None) == (control.kind == ControlKind.KNOWN_FUNCTION)
        assert shown.text == (control.planted_text or shown.text)
        assert len(session.scalars(select(ReviewSlot).where(ReviewSlot.item_id == item.id)).all()) == 2
    truths = {control.kind: control.truth for control, _ in found}
    assert truths == {"known_function": Verdict.HOLDS, "swapped": Verdict.FAILS, "broad": Verdict.PARTLY}


def test_a_planted_text_has_as_many_others_beside_it_as_an_explanation(
    sessions: Sessions, make: Make, session: Session
) -> None:
    """With the explanation that it replaces among them, a control could be told by its number of candidates."""
    campaign_id = campaign(make)
    neurons = session.scalars(select(Neuron)).all()
    for neuron in neurons:
        make.explanation(neuron, f"another text about {neuron.index}")
    work(sessions)
    session.expire_all()
    shown = [
        item_shown(session, item_id=item_id)
        for item_id in session.scalars(select(ReviewItem.id).where(ReviewItem.campaign_id == campaign_id))
    ]
    assert sum(each.is_planted for each in shown) == 2
    for each in shown:
        assert other_texts(session, item=each) == (f"another text about {each.index}",)


def test_controls_are_of_neurons_that_are_not_asked_about(sessions: Sessions, make: Make, session: Session) -> None:
    campaign_id = campaign(make)
    work(sessions)
    items = session.execute(
        select(ReviewItem.explanation_id, ReviewItem.source).where(ReviewItem.campaign_id == campaign_id)
    ).all()
    ids = [row.explanation_id for row in items]
    assert len(ids) == len(set(ids)) == 10


def test_where_nothing_can_be_planted_the_campaign_opens_with_what_there_is(
    sessions: Sessions, make: Make, session: Session
) -> None:
    campaign_id = campaign(make)
    session.execute(update(Campaign).values(seed=3))
    for table in ("explanation",):
        session.connection().exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER refuse_change")
        session.connection().exec_driver_sql("UPDATE explanation SET text = 'about joy'")
    session.flush()
    work(sessions)
    session.expire_all()
    assert session.get_one(Campaign, campaign_id).state == CampaignState.OPEN
    assert {control.kind for control, _ in controls(session)} == {"known_function"}


def test_one_control_in_eight_repeats_an_item_of_the_campaign(sessions: Sessions, make: Make, session: Session) -> None:
    campaign_id = campaign(make, n_neurons=30, n_items=12, share=0.4)
    task = work(sessions)
    assert task.result == {"n_wanted": 8, "n_made": 8}
    draw = session.scalars(select(CampaignDraw).where(CampaignDraw.source == ItemSource.CONTROL)).one()
    (repeated,) = draw.parameters["repeated_items"]
    assert draw.n_items == 7
    item = session.get_one(ReviewItem, repeated)
    assert (item.campaign_id, item.source) == (campaign_id, ItemSource.SAMPLE)
    order = select(ReviewItem.id).where(ReviewItem.draw_id == item.draw_id).order_by(ReviewItem.position)
    assert repeated in session.scalars(order).all()[:6]


@pytest.mark.parametrize(
    ("n", "n_known", "n_settled", "expected"),
    [
        (0, 9, 9, {}),
        (4, 9, 0, {"known_function": 2, "swapped": 1, "broad": 1}),
        (6, 0, 0, {"swapped": 2, "broad": 2, "narrow": 2}),
        (8, 9, 9, {"known_function": 2, "repeat": 2, "swapped": 2, "broad": 1, "narrow": 1}),
        (8, 1, 9, {"known_function": 1, "repeat": 3, "swapped": 2, "broad": 1, "narrow": 1}),
        (8, 0, 1, {"repeat": 1, "swapped": 3, "broad": 2, "narrow": 2}),
    ],
)
def test_half_of_the_controls_hold_as_far_as_such_are_known(
    n: int, n_known: int, n_settled: int, expected: dict[str, int]
) -> None:
    assert Counter(kinds_wanted(n, n_known=n_known, n_settled=n_settled)) == expected
    assert 0 < KNOWN_LEAST < 1
