"""Transactions that lock the same rows do so in one order: runs before neurons."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from app.db import transaction
from app.domain.authors import AuthorKind
from app.domain.results import ExplanationResult
from app.domain.roles import Role
from app.queries.explanations.standing import refresh_current
from app.queries.explanations.store import Author, store_explanation
from app.queries.people.accounts import Viewer
from app.work.begin import Taker, begin_run
from app.work.explanations import write_explanation
from app.work.lease import finish
from tests.factories import Make
from tests.reliability.conftest import MakeStage
from tests.reliability.fleet import wait_until

WAITING_FOR_A_LOCK = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


def test_an_explanation_is_written_while_a_run_of_its_neuron_ends(stage: MakeStage) -> None:
    on = stage(1)
    on.enqueue()
    (neuron_id,) = on.neuron_ids
    with transaction(on.sessions) as session:
        alice = Make(session).account()
        viewer = Viewer(alice.id, alice.name, Role.ADMINISTRATOR)
        lease = begin_run(session, taker=Taker(uuid.uuid4(), uuid.uuid4(), 60))
    assert lease is not None
    run_has_ended = Event()

    def end_the_run() -> None:
        with transaction(on.sessions) as session:
            assert finish(session, lease=lease)
            run_has_ended.set()
            wait_until(lambda: on.count(WAITING_FOR_A_LOCK) == 1)  # the other one, for the run
            author = Author(AuthorKind.METHOD, "pretend", method_id=on.method_id, run_id=lease.id)
            store_explanation(session, neuron_id=neuron_id, result=ExplanationResult("by the run"), author=author)
            refresh_current(session, neuron_id=neuron_id)

    def write() -> int:
        run_has_ended.wait()
        with transaction(on.sessions) as session:
            return write_explanation(
                session,
                neuron_id=neuron_id,
                subject_id=on.subject_id,
                text="by alice",
                by=viewer,
                method_id=on.method_id,
            )

    with ThreadPoolExecutor(2) as pool:
        ended, written = pool.submit(end_the_run), pool.submit(write)
        ended.result()
        written.result()
    assert on.count("SELECT count(*) FROM explanation") == 2
    assert on.counts_by_status() == {"succeeded": 1, "queued": 1}
