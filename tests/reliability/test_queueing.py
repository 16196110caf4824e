"""Many who queue at once, and transactions that are rolled back: runs, counts and commits agree."""

import random
import uuid
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy.orm import Session

from app.db import transaction
from app.errors import Conflict, Invalid
from app.queries.common.counting import compact_counts
from app.queries.runs.batches import locked_run
from app.work.begin import Taker, begin_run
from app.work.enqueue import cancel_batch, enqueue_batch
from app.work.lease import finish
from tests.reliability.conftest import MakeStage
from tests.reliability.fleet import Stage

ACTIVE = "SELECT count(*) FROM run WHERE status IN ('queued', 'running')"
N_THREADS = 4


class RolledBack(Exception):
    """The caller changed its mind."""


@pytest.mark.parametrize(
    "n_clients", [pytest.param(10, id="short"), pytest.param(50, id="full", marks=pytest.mark.soak)]
)
def test_clients_that_queue_the_same_neuron_and_method_get_one_active_run(stage: MakeStage, n_clients: int) -> None:
    on = stage(1)
    together = Barrier(n_clients)

    def queue(_client: int) -> int:
        together.wait()
        try:
            return on.enqueue().n_queued
        except Invalid:
            return 0

    with ThreadPoolExecutor(n_clients) as pool:
        assert sum(pool.map(queue, range(n_clients))) == 1
    assert (on.count(ACTIVE), on.count("SELECT count(*) FROM batch")) == (1, 1)
    on.assert_counts_are_right()


@pytest.mark.parametrize(
    "n_transactions", [pytest.param(1_000, id="short"), pytest.param(10_000, id="full", marks=pytest.mark.soak)]
)
def test_runs_are_those_of_the_committed_transactions(stage: MakeStage, n_transactions: int) -> None:
    on = stage(n_transactions)
    order = list(on.neuron_ids)
    random.Random(0).shuffle(order)
    committed = set(order[: n_transactions // 2])

    def queue(neuron_id: int) -> None:
        try:
            with transaction(on.sessions) as session:
                _enqueue(on, session, [neuron_id])
                if neuron_id not in committed:
                    raise RolledBack
        except RolledBack:
            return

    with ThreadPoolExecutor(N_THREADS) as pool:
        list(pool.map(queue, on.neuron_ids))
    assert set(on.column("SELECT neuron_id FROM run")) == committed
    assert on.count(ACTIVE) == len(committed)
    on.assert_counts_are_right()


def test_people_who_queue_and_cancel_over_each_other_leave_every_count_right(stage: MakeStage) -> None:
    on = stage(40)

    def queue_and_cancel(number: int) -> None:
        chance = random.Random(number)
        for _ in range(15):
            try:
                batch = on.enqueue(chance.sample(on.neuron_ids, 20))
                with transaction(on.sessions) as session:
                    cancel_batch(session, batch_id=batch.batch_id, account_id=None)
            except (Invalid, Conflict):
                continue

    def compact(_number: int) -> None:
        for _ in range(30):
            with transaction(on.sessions) as session:
                compact_counts(session)

    with ThreadPoolExecutor(N_THREADS + 2) as pool:
        compacting = [pool.submit(compact, number) for number in range(2)]
        list(pool.map(queue_and_cancel, range(N_THREADS)))
        for each in compacting:
            each.result()
    on.assert_nothing_is_lost_or_doubled()


def test_workers_people_who_queue_and_people_who_cancel_do_not_block_each_other(stage: MakeStage) -> None:
    on = stage(20)
    n_finished = 0

    def work(_number: int) -> int:
        return sum(_begin_and_finish(on) for _ in range(150))

    def queue_and_cancel(number: int) -> int:
        chance = random.Random(number)
        for _ in range(30):
            try:
                batch = on.enqueue(chance.sample(on.neuron_ids, 10))
                if chance.random() < 0.5:
                    with transaction(on.sessions) as session:
                        cancel_batch(session, batch_id=batch.batch_id, account_id=None)
            except (Invalid, Conflict):
                continue
        return 0

    with ThreadPoolExecutor(N_THREADS) as pool:
        jobs = [pool.submit(work if number % 2 else queue_and_cancel, number) for number in range(N_THREADS)]
        n_finished = sum(job.result() for job in jobs)
    while _begin_and_finish(on):
        n_finished += 1
    assert on.counts_by_status().get("succeeded", 0) == n_finished
    assert on.count(ACTIVE) == 0
    on.assert_counts_are_right()


def test_a_run_that_somebody_is_changing_is_left_alone(stage: MakeStage) -> None:
    on = stage(1)
    on.enqueue()
    with transaction(on.sessions) as session:
        locked_run(session, run_id=on.count("SELECT id FROM run"))
        assert not _begin_and_finish(on)
    assert _begin_and_finish(on)


def _begin_and_finish(on: Stage) -> bool:
    """Take one run and finish it; returns whether it was there and still ours at the end."""
    with transaction(on.sessions) as session:
        lease = begin_run(session, taker=Taker(uuid.uuid4(), uuid.uuid4(), 60))
    if lease is None:
        return False
    with transaction(on.sessions) as session:
        return finish(session, lease=lease)


def _enqueue(on: Stage, session: Session, neuron_ids: list[int]) -> None:
    enqueue_batch(session, subject_id=on.subject_id, neuron_ids=neuron_ids, method_id=on.method_id, account_id=None)
