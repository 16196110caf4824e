"""What foreign keys would hold of runs, and that a run agrees with its batch: held by triggers."""

from collections.abc import Callable

import pytest
from sqlalchemy import Delete, delete, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.models import Batch, Explanation, Method, Neuron, Run, Subject
from tests.factories import Make


class Cast:
    """A batch of one run, and strangers to it."""

    def __init__(self, session: Session, make: Make) -> None:
        self.session, self.make = session, make
        self.subject: Subject = make.subject()
        self.method: Method = make.method()
        self.neuron, self.idle = make.neuron(self.subject), make.neuron(self.subject, index=1)
        self.stranger: Neuron = make.neuron(make.subject("other"))
        self.other_method: Method = make.method("other")
        self.explanation: Explanation = make.explanation(make.neuron(self.subject, index=2))
        self.batch = Batch(subject_id=self.subject.id, method_id=self.method.id, n_runs=1)
        session.add(self.batch)
        session.flush()
        self.run = self.add(neuron_id=self.neuron.id)

    def add(self, **values: int) -> Run:
        run = Run(**{"batch_id": self.batch.id, "method_id": self.method.id, **values})
        with self.session.begin_nested():
            self.session.add(run)
            self.session.flush()
        return run


@pytest.fixture
def cast(session: Session, make: Make) -> Cast:
    return Cast(session, make)


@pytest.mark.parametrize(
    "values",
    [
        lambda cast: {"neuron_id": 10**9},
        lambda cast: {"neuron_id": cast.stranger.id},
        lambda cast: {"neuron_id": cast.idle.id, "batch_id": 10**9},
        lambda cast: {"neuron_id": cast.idle.id, "method_id": cast.other_method.id},
        lambda cast: {"neuron_id": cast.idle.id, "method_id": 10**9},
        lambda cast: {"neuron_id": cast.idle.id, "explanation_id": cast.explanation.id},
    ],
)
def test_a_run_that_does_not_fit_its_batch_is_refused(cast: Cast, values: Callable[[Cast], dict[str, int]]) -> None:
    with pytest.raises(IntegrityError, match="a run has a batch"):
        cast.add(**values(cast))
    cast.add(neuron_id=cast.idle.id)


def test_a_run_keeps_what_it_refers_to(cast: Cast) -> None:
    change = update(Run).where(Run.id == cast.run.id).values(neuron_id=cast.idle.id)
    with pytest.raises(IntegrityError, match="keeps its batch"), cast.session.begin_nested():
        cast.session.execute(change)


@pytest.mark.parametrize(
    "statement",
    [
        lambda cast: delete(Batch).where(Batch.id == cast.batch.id),
        lambda cast: delete(Neuron).where(Neuron.id == cast.neuron.id),
        lambda cast: delete(Method).where(Method.id == cast.method.id),
    ],
)
def test_what_runs_refer_to_is_not_deleted(cast: Cast, statement: Callable[[Cast], Delete]) -> None:
    with pytest.raises(IntegrityError, match=r"refer to this|still referenced"), cast.session.begin_nested():
        cast.session.execute(statement(cast))


def test_what_no_run_refers_to_may_be_deleted(cast: Cast) -> None:
    for table, number in ((Neuron, cast.idle.id), (Neuron, cast.stranger.id), (Method, cast.other_method.id)):
        cast.session.execute(delete(table).where(table.id == number))
    empty = Batch(subject_id=cast.subject.id, method_id=cast.method.id, n_runs=0)
    cast.session.add(empty)
    cast.session.flush()
    cast.session.execute(delete(Batch).where(Batch.id == empty.id))
