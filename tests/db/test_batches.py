import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.errors import Conflict, Invalid, NotFound
from app.models import Batch, Event, Method, Neuron, Run, Subject
from app.queries.common.prepared import rows_of
from app.queries.runs.active import RUNS_OF_NEURONS
from app.work.enqueue import EnqueuedBatch, cancel_batch, cancel_run, enqueue_batch, retry_run
from tests.factories import Make


class Cast:
    """A subject with three neurons, a method, and short names for what the tests do."""

    def __init__(self, session: Session, make: Make) -> None:
        self.session = session
        self.subject: Subject = make.subject()
        self.neurons = [make.neuron(self.subject, index=i) for i in range(3)]
        self.method: Method = make.method()

    def enqueue(self, *neurons: Neuron, limit: int = 10) -> EnqueuedBatch:
        return enqueue_batch(
            self.session,
            subject_id=self.subject.id,
            neuron_ids=[n.id for n in neurons],
            method_id=self.method.id,
            account_id=None,
            limit=limit,
        )

    def runs(self) -> list[Run]:
        self.session.expire_all()
        return list(self.session.scalars(select(Run).order_by(Run.id)))

    def active(self) -> list[int]:
        found = rows_of(self.session, RUNS_OF_NEURONS.given(neuron_ids=[n.id for n in self.neurons]))
        active = {row.neuron_id: row.n_active for row in found}
        return [active.get(n.id, 0) for n in self.neurons]

    def events(self) -> list[str]:
        return list(self.session.scalars(select(Event.kind).order_by(Event.id)))


@pytest.fixture
def cast(session: Session, make: Make) -> Cast:
    return Cast(session, make)


def test_a_batch_brings_a_run_for_each_neuron(cast: Cast) -> None:
    queued = cast.enqueue(*cast.neurons)
    assert (queued.n_queued, queued.n_skipped) == (3, 0)
    assert [run.neuron_id for run in cast.runs()] == [neuron.id for neuron in cast.neurons]
    assert cast.active() == [1, 1, 1]
    assert cast.session.get_one(Batch, queued.batch_id).n_runs == 3
    assert cast.events() == ["batch.queued"]


def test_a_neuron_with_an_active_run_of_the_method_is_skipped(cast: Cast) -> None:
    cast.enqueue(cast.neurons[0])
    queued = cast.enqueue(*cast.neurons)
    assert (queued.n_queued, queued.n_skipped) == (2, 1)
    assert cast.active() == [1, 1, 1]


def test_another_method_may_have_a_run_of_its_own(cast: Cast, make: Make) -> None:
    cast.enqueue(cast.neurons[0])
    cast.method = make.method(version=2)
    cast.enqueue(cast.neurons[0])
    assert cast.active() == [2, 0, 0]


def test_a_neuron_named_twice_is_queued_once(cast: Cast) -> None:
    assert cast.enqueue(cast.neurons[0], cast.neurons[0]).n_queued == 1


def test_a_batch_over_nothing_is_refused(cast: Cast) -> None:
    with pytest.raises(Invalid, match="Nothing is selected"):
        cast.enqueue()


def test_a_batch_whose_neurons_are_all_active_is_refused(cast: Cast) -> None:
    cast.enqueue(cast.neurons[0])
    with pytest.raises(Invalid, match="already queued or running"):
        cast.enqueue(cast.neurons[0])


def test_a_batch_over_the_limit_is_refused(cast: Cast) -> None:
    with pytest.raises(Invalid, match="one batch may hold 2"):
        cast.enqueue(*cast.neurons, limit=2)


def test_neurons_of_another_subject_are_refused(cast: Cast, make: Make) -> None:
    stranger = make.neuron(make.subject(slug="other"))
    with pytest.raises(NotFound, match="1 of the 2 chosen"):
        cast.enqueue(cast.neurons[0], stranger)


def test_an_unknown_method_is_not_found(cast: Cast) -> None:
    with pytest.raises(NotFound):
        enqueue_batch(
            cast.session, subject_id=cast.subject.id, neuron_ids=[cast.neurons[0].id], method_id=0, account_id=None
        )


def test_a_cancelled_batch_leaves_no_active_run(cast: Cast) -> None:
    queued = cast.enqueue(*cast.neurons)
    assert cancel_batch(cast.session, batch_id=queued.batch_id, account_id=None) == 3
    assert {run.status for run in cast.runs()} == {"cancelled"}
    assert cast.active() == [0, 0, 0]
    assert cast.events() == ["batch.queued", "batch.cancelled"]
    assert cast.session.get_one(Batch, queued.batch_id).cancelled_at is not None


def test_a_batch_that_has_ended_cannot_be_cancelled(cast: Cast) -> None:
    queued = cast.enqueue(cast.neurons[0])
    cancel_batch(cast.session, batch_id=queued.batch_id, account_id=None)
    with pytest.raises(Conflict):
        cancel_batch(cast.session, batch_id=queued.batch_id, account_id=None)


def test_the_reason_of_a_cancellation_is_told_of_no_run_that_ended_before(cast: Cast) -> None:
    queued = cast.enqueue(*cast.neurons)
    first, second, third = (run.id for run in cast.runs())
    cancel_run(cast.session, run_id=first, account_id=None)
    cast.session.execute(update(Run).where(Run.id == second).values(status="failed", error="its own"))
    assert cancel_batch(cast.session, batch_id=queued.batch_id, account_id=None, reason="the cap is reached") == 1
    errors = {run.id: run.error for run in cast.runs()}
    assert errors == {first: None, second: "its own", third: "the cap is reached"}


def test_one_run_of_a_batch_can_be_cancelled(cast: Cast) -> None:
    cast.enqueue(*cast.neurons)
    second = cast.runs()[1]
    cancel_run(cast.session, run_id=second.id, account_id=None)
    assert cast.active() == [1, 0, 1]
    with pytest.raises(Conflict, match="it is cancelled"):
        cancel_run(cast.session, run_id=second.id, account_id=None)


def test_a_cancelled_run_can_start_over_under_its_own_id(cast: Cast) -> None:
    cast.enqueue(cast.neurons[0])
    (run,) = cast.runs()
    cancel_run(cast.session, run_id=run.id, account_id=None)
    retry_run(cast.session, run_id=run.id, account_id=None)
    assert [r.status for r in cast.runs()] == ["queued"]
    assert cast.active() == [1, 0, 0]
    assert cast.events()[-1] == "run.retried"


def test_a_queued_run_cannot_be_retried(cast: Cast) -> None:
    cast.enqueue(cast.neurons[0])
    with pytest.raises(Conflict, match="this one is queued"):
        retry_run(cast.session, run_id=cast.runs()[0].id, account_id=None)


def test_a_run_is_not_retried_beside_a_newer_active_one(cast: Cast) -> None:
    cast.enqueue(cast.neurons[0])
    (run,) = cast.runs()
    cancel_run(cast.session, run_id=run.id, account_id=None)
    cast.enqueue(cast.neurons[0])
    with pytest.raises(Conflict, match="already queued or running"):
        retry_run(cast.session, run_id=run.id, account_id=None)
    assert cast.session.scalar(select(func.count()).select_from(Run)) == 2


def test_unknown_runs_and_batches_are_not_found(cast: Cast) -> None:
    with pytest.raises(NotFound):
        cancel_run(cast.session, run_id=0, account_id=None)
    with pytest.raises(NotFound):
        retry_run(cast.session, run_id=0, account_id=None)
    with pytest.raises(NotFound):
        cancel_batch(cast.session, batch_id=0, account_id=None)
