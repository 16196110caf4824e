"""What queueing and cancelling every neuron costs: ``python -m benchmarks.queueing --neurons 307200``.

Beside queueing, in the same run, what it would cost otherwise: the neurons' ids go to the program and back, and foreign
keys are checked row by row. Costs are processor time, of this program and of the server's process that works for it,
since times on a busy machine say little; the ratio is the target.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import ARRAY, BigInteger, Engine, cast, func, select, text, update
from sqlalchemy.orm import Session

from app.db import make_engine, make_sessions, transaction
from app.domain.work import WorkStatus
from app.models import Batch, Method, Neuron, Subject
from app.queries.neurons.selection import NeuronSelection
from app.queries.runs import batches
from app.queries.runs.progress import batch_summary
from app.work.enqueue import cancel_batch, enqueue_selection
from benchmarks.figures import Figures, benchmark, held_to, reported
from benchmarks.load import cpu_seconds
from benchmarks.synthetic import synthetic_database

N_NEURONS = 10_000
TURNS = 3
TARGET = 2
"""Times as fast as with ids through the program and foreign keys."""
_REFERENCES = ("batch", "neuron", "method", "explanation")
_INSERT = text("""
    INSERT INTO run (batch_id, neuron_id, method_id)
    SELECT :batch_id, id, :method_id FROM neuron WHERE id = ANY(CAST(:ids AS bigint[])) AND subject_id = :subject_id
    ORDER BY id
    ON CONFLICT (neuron_id, method_id) WHERE status IN ('queued', 'running') DO NOTHING
""")


@dataclass(slots=True)
class Spent:
    """Seconds of each turn."""

    processor: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    @contextmanager
    def measured(self, session: Session) -> Iterator[None]:
        """Add what the block and the commit after it take."""
        backend = session.scalars(select(func.pg_backend_pid())).one()
        started, before = time.perf_counter(), cpu_seconds(backend) + time.process_time()
        yield
        session.commit()
        self.wall.append(time.perf_counter() - started)
        self.processor.append(cpu_seconds(backend) + time.process_time() - before)


@dataclass(frozen=True, slots=True)
class Target:
    """What is queued."""

    subject_id: int
    method_id: int


Queue = Callable[[Session, Target], int]
"""Queues every neuron and returns the batch's id."""


def queue_in_the_database(session: Session, target: Target) -> int:
    """Queue neurons as the program does it."""
    selection = NeuronSelection(target.subject_id)
    return enqueue_selection(session, selection=selection, method_id=target.method_id, account_id=None).batch_id


def queue_through_the_program(session: Session, target: Target) -> int:
    """With every id in this program."""
    chosen = select(Neuron.id).where(Neuron.subject_id == target.subject_id)
    ids: Sequence[int] = sorted(session.scalars(chosen).all())
    known = func.any(cast(list(ids), ARRAY(BigInteger)))
    session.scalars(select(func.count()).where(Neuron.id == known, Neuron.subject_id == target.subject_id)).one()
    batch = batches.insert_batch(session, subject_id=target.subject_id, method_id=target.method_id, account_id=None)
    values = {"batch_id": batch.id, "method_id": target.method_id, "subject_id": target.subject_id, "ids": ids}
    session.execute(_INSERT, values)
    session.execute(update(Batch).where(Batch.id == batch.id).values(n_runs=len(ids)))
    return batch.id


@contextmanager
def foreign_keys(engine: Engine) -> Iterator[None]:
    """Runs refer to other tables by foreign keys, in place of the trigger that checks a statement's rows together."""
    added = ", ".join(
        f"ADD CONSTRAINT reference_{name} FOREIGN KEY ({name}_id) REFERENCES {name} (id) NOT VALID"
        for name in _REFERENCES
    )
    dropped = ", ".join(f"DROP CONSTRAINT reference_{name}" for name in _REFERENCES)
    with engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE run DISABLE TRIGGER check_inserted_runs, {added}"))
    try:
        yield
    finally:
        with engine.begin() as connection:
            connection.execute(text(f"ALTER TABLE run ENABLE TRIGGER check_inserted_runs, {dropped}"))


def measure(quick: bool, neurons: int = N_NEURONS) -> Figures:
    """Queueing every neuron, against ids through the program and foreign keys, and cancelling the batch."""
    with synthetic_database(neurons) as url:
        engine = make_engine(url)
        target = _target(engine)
        queueing, cancelling, otherwise = Spent(), Spent(), Spent()
        for _ in range(1 if quick else TURNS):
            _turn(engine, target, queue_in_the_database, (queueing, cancelling))
            with foreign_keys(engine):
                _turn(engine, target, queue_through_the_program, (otherwise, Spent()))
        engine.dispose()
    took, reference = statistics.median(queueing.processor), statistics.median(otherwise.processor)
    return {
        "neurons": reported(neurons, ""),
        "queueing, processor": reported(took, "s"),
        "queueing, wall": reported(statistics.median(queueing.wall), "s"),
        "the same with ids and foreign keys, processor": reported(reference, "s"),
        "queueing, times as fast": held_to(reference / took, "", ">=", TARGET),
        "cancelling, processor": reported(statistics.median(cancelling.processor), "s"),
        "cancelling, wall": reported(statistics.median(cancelling.wall), "s"),
    }


def _target(engine: Engine) -> Target:
    with transaction(make_sessions(engine)) as session:
        method = Method(
            name="queued", version=1, label="Queued", explainer="lexical", simulator="lexical", scorers=["correlation"]
        )
        session.add(method)
        session.flush()  # the runs refer to it
        return Target(session.scalars(select(Subject.id)).one(), method.id)


def _turn(engine: Engine, target: Target, queue: Queue, spent: tuple[Spent, Spent]) -> None:
    """Queue a batch over every neuron and cancel it. Its runs stay, as they would."""
    queueing, cancelling = spent
    sessions = make_sessions(engine)
    with sessions() as session:
        with queueing.measured(session):
            batch_id = queue(session, target)
        with cancelling.measured(session):
            n_cancelled = cancel_batch(session, batch_id=batch_id, account_id=None)
        if batch_summary(session, batch_id=batch_id).counts[WorkStatus.CANCELLED] != n_cancelled:
            raise RuntimeError("not every run was cancelled")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE run"))


if __name__ == "__main__":
    benchmark("queueing", measure, neurons=N_NEURONS)
