"""Fairness between people and batches, counted in runs: one worker that begins and finishes one after the other."""

import itertools
import uuid
from collections import Counter

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session

from app.db import Sessions, transaction
from app.domain.work import Lane
from app.models import Account, Neuron, Turn
from app.work.begin import Taker, begin_run, begin_task
from app.work.enqueue import cancel_batch, enqueue_batch
from app.work.lease import finish, release
from app.work.tasks import enqueue_task
from tests.db.leased import PRETEND
from tests.factories import Make

LARGE = 4_096


class House:
    """People who queue batches of one subject's neurons, and one worker."""

    def __init__(self, session: Session, make: Make) -> None:
        self.session, self.make = session, make
        self.subject = make.subject(n_layers=1, neurons_per_layer=3 * LARGE)
        self.method = make.method()
        rows = [{"subject_id": self.subject.id, "layer": 0, "index": i, "max": 1.0} for i in range(3 * LARGE)]
        session.execute(insert(Neuron), rows)
        self._neurons = iter(session.scalars(select(Neuron.id).order_by(Neuron.index)).all())

    def person(self, name: str) -> Account:
        return self.make.account(name, "reviewer")

    def batch(self, by: Account, n: int) -> int:
        """Queue neurons that no other batch has; returns the batch's id."""
        return enqueue_batch(
            self.session,
            subject_id=self.subject.id,
            neuron_ids=list(itertools.islice(self._neurons, n)),
            method_id=self.method.id,
            account_id=by.id,
        ).batch_id

    def work(self, n: int) -> list[int]:
        """Begin and finish so many runs; returns their batches."""
        done = []
        for _ in range(n):
            lease = begin_run(self.session, taker=taker())
            assert lease is not None
            assert finish(self.session, lease=lease)
            done.append(lease.batch_id)
        return done


def taker() -> Taker:
    return Taker(uuid.uuid4(), uuid.uuid4(), 60.0)


@pytest.fixture
def house(session: Session, make: Make) -> House:
    return House(session, make)


@pytest.mark.parametrize("is_same_person", [True, False])
def test_a_batch_of_two_begins_within_ten_runs_of_a_large_one(house: House, is_same_person: bool) -> None:
    alice, bob = house.person("alice"), house.person("bob")
    large = house.batch(alice, LARGE)
    assert house.work(5) == [large] * 5
    small = house.batch(alice if is_same_person else bob, 2)
    done = house.work(10)
    assert done.index(small) <= 1
    assert done.count(small) == 2


def test_people_share_evenly_however_many_batches_each_has(house: House) -> None:
    people = [house.person(name) for name in ("alice", "bob", "charlie")]
    owners: dict[int, str] = {}
    for person, n_batches in zip(people, (1, 5, 20), strict=True):
        owners |= {house.batch(person, 30): person.name for _ in range(n_batches)}
    assert Counter(owners[batch] for batch in house.work(60)) == {"alice": 20, "bob": 20, "charlie": 20}


def test_who_comes_late_gets_an_equal_share_from_then_on_and_no_more(house: House) -> None:
    alice, bob = house.person("alice"), house.person("bob")
    first = house.batch(alice, 100)
    house.work(40)
    second = house.batch(bob, 100)
    assert Counter(house.work(20)) == {first: 10, second: 10}


def test_the_smallest_batch_of_a_person_is_first(house: House) -> None:
    alice = house.person("alice")
    house.batch(alice, 50)
    small = house.batch(alice, 3)
    smaller = house.batch(alice, 2)
    done = house.work(8)
    assert done.index(smaller) < done.index(small) < 4
    assert (done.count(smaller), done.count(small)) == (2, 3)


def test_a_row_of_small_batches_never_stops_a_large_one_of_the_same_person(house: House) -> None:
    alice = house.person("alice")
    large = house.batch(alice, 100)
    n_large = 0
    for _ in range(40):
        house.batch(alice, 1)
        n_large += house.work(1) == [large]
    assert n_large == 10


def test_a_row_of_batches_of_one_person_never_stops_another(house: House) -> None:
    alice, bob = house.person("alice"), house.person("bob")
    large = house.batch(alice, 100)
    n_large = 0
    for _ in range(20):
        house.batch(bob, 1)
        n_large += house.work(1) == [large]
    assert n_large == 10


def test_a_batch_whose_runs_wait_for_their_time_holds_nobody_up(house: House) -> None:
    alice, bob = house.person("alice"), house.person("bob")
    waits = house.batch(alice, 1)
    lease = begin_run(house.session, taker=taker())
    assert lease is not None
    assert lease.batch_id == waits
    release(house.session, lease=lease, delay_seconds=3600)
    assert begin_run(house.session, taker=taker()) is None
    other = house.batch(bob, 1)
    assert house.work(1) == [other]


@pytest.mark.parametrize("n_before", [pytest.param(0, id="the first"), pytest.param(1, id="a later one")])
def test_nobody_waits_for_a_worker_that_takes_a_turn_of_the_same_person(
    fresh_sessions: Sessions, n_before: int
) -> None:
    """One that has not committed yet: had each waited for the other's row, two could have waited for each other."""
    with transaction(fresh_sessions) as session:
        house = House(session, Make(session))
        batch = house.batch(house.person("alice"), n_before + 2)
        house.work(n_before)
    with transaction(fresh_sessions) as slow, transaction(fresh_sessions) as quick:
        assert begin_run(slow, taker=taker()) is not None
        quick.execute(text("SET LOCAL lock_timeout = '1s'"))
        lease = begin_run(quick, taker=taker())
        assert lease is not None
        assert lease.batch_id == batch
    with transaction(fresh_sessions) as session:
        assert [turn.n_taken for turn in session.scalars(select(Turn))] == [n_before + 1]


def test_a_cancelled_batch_takes_no_turn(house: House) -> None:
    alice = house.person("alice")
    cancelled, kept = house.batch(alice, 5), house.batch(alice, 9)
    cancel_batch(house.session, batch_id=cancelled, account_id=alice.id)
    assert house.work(9) == [kept] * 9


def test_people_take_turns_with_tasks_too(house: House) -> None:
    alice, bob = house.person("alice"), house.person("bob")
    for person, n in ((alice, 4), (bob, 2)):
        for _ in range(n):
            enqueue_task(house.session, kind=PRETEND, title="x", account_id=person.id)
    done = []
    while (lease := begin_task(house.session, taker=taker(), lane=Lane.BACKGROUND, kinds=[PRETEND.name])) is not None:
        finish(house.session, lease=lease)
        done.append(lease.account_id)
    a, b = alice.id, bob.id
    assert done == [a, b, a, b, a, a]
