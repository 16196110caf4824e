"""Sixteen reviewers at once over 10,000 items: nobody holds what another holds, whoever is killed or freezes."""

import contextlib
import random
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import OperationalError

from app.db import Limits, Sessions, make_engine, make_sessions, transaction
from app.domain.review import ItemState, VerdictKind
from app.errors import Conflict
from app.models import ReviewItem, ReviewSlot, ReviewVerdict
from app.queries.common.bulk import copy_into
from app.queries.neurons.selection import NeuronSelection
from app.queries.review.campaigns import CampaignRules
from app.queries.review.items import SampleWanted, create_campaign
from app.queries.review.judging import Judgement, give_verdict
from app.queries.review.taking import LeaseExpired, Reviewer, TakenSlot, take_item, take_next
from tests.factories import Make

N_ITEMS = 10_000
N_REVIEWERS = 16
N_STEPS = 60
"""Items that each reviewer goes for; each is taken in a transaction of its own."""
QUESTION = "Does the explanation say what this neuron fires on?"


@pytest.fixture
def engine_of_its_own(fresh_database: str) -> Iterator[Engine]:
    engine = make_engine(fresh_database, limits=Limits(pool_size=N_REVIEWERS + 2))
    yield engine
    engine.dispose()


@pytest.fixture
def sessions(engine_of_its_own: Engine) -> Sessions:
    return make_sessions(engine_of_its_own)


@pytest.fixture
def campaign(sessions: Sessions) -> tuple[int, list[Reviewer]]:
    """10,000 explanations, two verdicts each, and who judges them."""
    with transaction(sessions) as session:
        make = Make(session)
        subject = make.subject(neurons_per_layer=N_ITEMS)
        people = [Reviewer(make.account(f"reviewer {i}", "reviewer").id) for i in range(N_REVIEWERS)]
        columns = {"subject_id": "int8", "layer": "int2", "index": "int4"}
        copy_into(session, "neuron", columns, ((subject.id, 0, i) for i in range(N_ITEMS)))
        session.execute(
            text("""
                INSERT INTO explanation (neuron_id, text, author_kind, author)
                SELECT id, 'fires on ' || index, 'import', 'somebody' FROM neuron
            """)
        )
        session.execute(
            text("""
                UPDATE neuron SET current_explanation_id = explanation.id, current_text = explanation.text
                FROM explanation WHERE explanation.neuron_id = neuron.id
            """)
        )
        campaign_id = create_campaign(
            session,
            name="Many",
            subject_id=subject.id,
            rules=CampaignRules(QUESTION),
            wanted=SampleWanted(NeuronSelection(subject.id), N_ITEMS),
            account_id=None,
            seed=1,
        )
    return campaign_id, people


class Held:
    """Who holds which item right now, as the reviewers know it, and what was taken twice."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: dict[int, int] = {}
        self.taken: Counter[tuple[int, int]] = Counter()
        self.collisions: list[int] = []

    def take(self, slot: TakenSlot, who: Reviewer) -> None:
        with self._lock:
            if slot.id in self._slots:
                self.collisions.append(slot.id)
            self._slots[slot.id] = who.account_id
            self.taken[slot.item_id, who.account_id] += 1

    def let_go(self, slot: TakenSlot) -> None:
        with self._lock:
            self._slots.pop(slot.id, None)


def test_sixteen_reviewers_hold_no_item_twice(sessions: Sessions, campaign: tuple[int, list[Reviewer]]) -> None:
    campaign_id, people = campaign
    held, failures = Held(), list[BaseException]()
    frozen: list[tuple[TakenSlot, Reviewer]] = []

    def review(who: Reviewer) -> None:
        chance = random.Random(who.account_id)
        for _ in range(N_STEPS):
            with transaction(sessions) as session:
                slot = take_next(session, campaign_id=campaign_id, reviewer=who)
            if slot is None:
                return
            held.take(slot, who)
            if chance.random() < 0.05:
                die(sessions, slot, who)  # its connection is gone before the verdict is stored
                with transaction(sessions) as session:
                    again = take_next(session, campaign_id=campaign_id, reviewer=who)
                assert again is not None
                assert again.id == slot.id  # what was not stored is still held by who comes back
            if chance.random() < 0.01:
                frozen.append((slot, who))
                return  # a browser that freezes keeps what it holds until the lease has passed
            kind = chance.choice([VerdictKind.HOLDS, VerdictKind.HOLDS, VerdictKind.TOO_BROAD])
            with transaction(sessions) as session:
                give_verdict(
                    session, slot_id=slot.id, lease_token=slot.lease_token, reviewer=who, judgement=Judgement(kind)
                )
            held.let_go(slot)

    def watched(who: Reviewer) -> None:
        try:
            review(who)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=watched, args=(who,)) for who in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert held.collisions == []
    assert set(held.taken.values()) == {1}  # nobody got an item twice
    with transaction(sessions) as session:
        per_reviewer = select(ReviewVerdict.item_id, ReviewVerdict.account_id).group_by(
            ReviewVerdict.item_id, ReviewVerdict.account_id
        )
        assert session.execute(per_reviewer.having(func.count() > 1)).all() == []
        n_verdicts = session.scalar(select(func.count()).select_from(ReviewVerdict))
        assert n_verdicts == sum(held.taken.values()) - len(frozen)
        assert session.scalar(select(func.count()).where(ReviewSlot.state == "held")) == len(frozen)
        two_holds = session.scalar(select(func.count()).where(ReviewItem.state == ItemState.SETTLED)) or 0
        assert two_holds > 0
    assert frozen, "the seeds freeze somebody"
    thaw(sessions, frozen)


def thaw(sessions: Sessions, frozen: list[tuple[TakenSlot, Reviewer]]) -> None:
    """After the lease two newcomers get what frozen reviewers held, and a frozen one's verdict is refused."""
    later = datetime.now(UTC) + timedelta(minutes=6)
    with transaction(sessions) as session:
        newcomers = [Reviewer(Make(session).account(f"newcomer {i}", "reviewer").id) for i in range(2)]
    for slot, who in frozen:
        got = set()
        for newcomer in newcomers:
            with contextlib.suppress(Conflict), transaction(sessions) as session:
                got.add(take_item(session, item_id=slot.item_id, reviewer=newcomer, now=later).id)
        assert slot.id in got
        with pytest.raises(LeaseExpired), transaction(sessions) as session:
            give_verdict(
                session, slot_id=slot.id, lease_token=slot.lease_token, reviewer=who, judgement=Judgement("holds")
            )


def die(sessions: Sessions, slot: TakenSlot, who: Reviewer) -> None:
    """Give a verdict on a connection that the server ends before the commit."""
    session = sessions()
    try:
        give_verdict(session, slot_id=slot.id, lease_token=slot.lease_token, reviewer=who, judgement=Judgement("wrong"))
        pid = session.scalar(select(func.pg_backend_pid()))
        with transaction(sessions) as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        with pytest.raises((OperationalError, psycopg.OperationalError, Conflict)):
            session.commit()
    finally:
        session.invalidate()
