"""Sixteen reviewers at once over 10,000 items: nobody holds what another holds, whoever is killed or freezes."""

import contextlib
import itertools
import random
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import Engine, exists, func, select, text
from sqlalchemy.exc import OperationalError

from app.db import Limits, Sessions, make_engine, make_sessions, transaction
from app.domain.history import verify
from app.domain.review import LEASE_SECONDS, ItemState, SlotKind, VerdictKind
from app.errors import Conflict
from app.models import ReviewItem, ReviewSlot, ReviewVerdict
from app.queries.common.bulk import copy_into
from app.queries.history.chain import chain_links, unlinked
from app.queries.history.sealed import changed_rows
from app.queries.neurons.selection import NeuronSelection
from app.queries.review.campaigns import CampaignRules
from app.queries.review.items import SampleWanted, create_campaign
from app.queries.review.judging import Judgement, give_verdict
from app.queries.review.taking import LeaseExpired, Reviewer, TakenSlot, take_item, take_next
from tests.factories import Make

N_ITEMS = 10_000
N_REVIEWERS = 16
N_FROZEN = 4
N_STEPS = 60
"""Items that each reviewer goes for in the short form; each is taken in a transaction of its own."""
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
    """Who holds which slot until when, by the leases that reviewers were given, and what was taken twice."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[int, datetime] = {}
        self.taken: Counter[tuple[int, int]] = Counter()
        self.collisions: list[int] = []

    def take(self, slot: TakenSlot, who: Reviewer) -> None:
        taken_at = slot.lease_until - timedelta(seconds=LEASE_SECONDS)  # by the database's clock
        with self._lock:
            if self._until.get(slot.id, taken_at) > taken_at:
                self.collisions.append(slot.id)
            self._until[slot.id] = slot.lease_until
            self.taken[slot.item_id, who.account_id] += 1

    def release(self, slot: TakenSlot) -> None:
        with self._lock:
            self._until.pop(slot.id, None)


class Crowd:
    """Sixteen reviewers at once; some connections die before a commit, and four browsers freeze for good."""

    def __init__(self, sessions: Sessions, campaign_id: int, people: list[Reviewer]) -> None:
        self.sessions, self.campaign_id, self.people = sessions, campaign_id, people
        self.held = Held()
        self.frozen: list[tuple[TakenSlot, Reviewer]] = []
        self.n_deaths = 0
        self._failures: list[BaseException] = []

    def review(self, *, n_steps: int | None, share_dying: float) -> None:
        """Each goes for so many items, or for all there are. Raises the first failure of a reviewer."""
        limit = N_STEPS if n_steps is None else n_steps
        threads = [
            threading.Thread(
                target=self._watched, args=(who, n_steps, share_dying, limit // 2 if i < N_FROZEN else None)
            )
            for i, who in enumerate(self.people)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._failures:
            raise self._failures[0]

    def _watched(self, who: Reviewer, n_steps: int | None, share_dying: float, freezes_at: int | None) -> None:
        try:
            self._review(who, n_steps, share_dying, freezes_at)
        except BaseException as error:
            self._failures.append(error)
            raise

    def _review(self, who: Reviewer, n_steps: int | None, share_dying: float, freezes_at: int | None) -> None:
        chance = random.Random(who.account_id)
        for step in itertools.count() if n_steps is None else range(n_steps):
            slot = self._take(who)
            if slot is None:
                return
            self.held.take(slot, who)
            if chance.random() < share_dying:
                die(self.sessions, slot, who)  # its connection is gone before the verdict is stored
                self.n_deaths += 1
                again = self._take(who)
                assert again is not None
                assert again.id == slot.id  # what was not stored is still held by who comes back
            if step == freezes_at:
                self.frozen.append((slot, who))
                return  # a browser that freezes keeps what it holds until the lease has passed
            kind = chance.choice([VerdictKind.HOLDS, VerdictKind.HOLDS, VerdictKind.TOO_BROAD])
            with transaction(self.sessions) as session:
                give_verdict(
                    session, slot_id=slot.id, lease_token=slot.lease_token, reviewer=who, judgement=Judgement(kind)
                )
            self.held.release(slot)

    def _take(self, who: Reviewer) -> TakenSlot | None:
        with transaction(self.sessions) as session:
            return take_next(session, campaign_id=self.campaign_id, reviewer=who)


def test_sixteen_reviewers_hold_no_item_twice(sessions: Sessions, campaign: tuple[int, list[Reviewer]]) -> None:
    crowd = Crowd(sessions, *campaign)
    crowd.review(n_steps=N_STEPS, share_dying=0.05)
    assert crowd.n_deaths > 0
    hold_none_twice(crowd)
    thaw(sessions, crowd.frozen)


@pytest.mark.soak
def test_sixteen_reviewers_judge_all_of_ten_thousand_items(
    sessions: Sessions, campaign: tuple[int, list[Reviewer]]
) -> None:
    """Until nothing is left: every item is settled, or waits for an adjudicator or for a frozen browser's lease."""
    crowd = Crowd(sessions, *campaign)
    crowd.review(n_steps=None, share_dying=0.01)
    hold_none_twice(crowd)
    with transaction(sessions) as session:
        waiting = session.scalars(
            select(ReviewItem.id).where(
                ReviewItem.state != ItemState.SETTLED,
                ~exists().where(ReviewSlot.item_id == ReviewItem.id, ReviewSlot.kind == SlotKind.ADJUDICATION),
            )
        ).all()
        verified, added = verify(chain_links(session)), unlinked(session)
        changed = changed_rows(session)
        n_verdicts = session.scalar(select(func.count()).select_from(ReviewVerdict)) or 0
    assert set(waiting) <= {slot.item_id for slot, _ in crowd.frozen}
    assert n_verdicts >= 2 * (N_ITEMS - N_FROZEN)
    assert (verified.faults, added, changed) == ((), [], ())
    assert verified.n_links >= n_verdicts  # each verdict left its event


def hold_none_twice(crowd: Crowd) -> None:
    """Nobody held what another held, nobody got an item twice, and what was given was stored once."""
    assert crowd.held.collisions == []
    assert set(crowd.held.taken.values()) == {1}
    assert len(crowd.frozen) == N_FROZEN
    with transaction(crowd.sessions) as session:
        per_reviewer = select(ReviewVerdict.item_id, ReviewVerdict.account_id).group_by(
            ReviewVerdict.item_id, ReviewVerdict.account_id
        )
        assert session.execute(per_reviewer.having(func.count() > 1)).all() == []
        n_verdicts = session.scalar(select(func.count()).select_from(ReviewVerdict))
        assert n_verdicts == sum(crowd.held.taken.values()) - len(crowd.frozen)
        held = session.scalars(select(ReviewSlot.id).where(ReviewSlot.state == "held")).all()
        assert set(held) <= {slot.id for slot, _ in crowd.frozen}
        assert session.scalar(select(func.count()).where(ReviewItem.state == ItemState.SETTLED))


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
