"""Neurons per second through the lexical method: ``python -m benchmarks.pipeline [--quick] [--json FILE]``.

Without the queue, two processes explain, simulate and score neurons whose records are in memory.
With it, the same neurons are queued in a temporary database and two ``neuron-audit worker``
processes read, work and store. The neurons are drawn as in ``benchmarks.synthetic``, on real text.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from statistics import median

import numpy as np
from sqlalchemy import extract, func, select

from app.db import Sessions, make_engine, make_sessions, transaction
from app.domain.arrays import Float32s, Int32s
from app.domain.methods import LEXICAL
from app.errors import NoExplanation
from app.models import Method, Neuron, Run, Score, Subject
from app.queries.methods.definitions import ensure_builtin_methods
from app.queries.neurons.records import MeasuredNeuron, records_of_neurons, vocabulary
from app.work.enqueue import enqueue_batch
from benchmarks.figures import Figure, Figures, benchmark, held_to, reported
from benchmarks.synthetic import SLUG, synthetic_database
from worker.method.contracts import NeuronTask, Services
from worker.method.pipeline import run_method
from worker.method.registry import build_method

N_PROCESSES = 2
DEMO_NEURONS = 3_072
DEMO_SECONDS = 60
CPU_MILLISECONDS = 35
LONGEST_WAIT = 600.0
_ENDED = ("succeeded", "failed", "cancelled", "quarantined")


def measure(quick: bool) -> Figures:
    """Neurons per second through the lexical method, without and with the queue."""
    n_neurons = 300 if quick else 3_000
    with synthetic_database(n_neurons) as url:
        engine = make_engine(url)
        sessions = make_sessions(engine)
        tasks = read_tasks(sessions, n_neurons)
        cpu = cpu_milliseconds(tasks[:200])
        hard = [entangled(task) for task in tasks[:200]]
        hard_cpu = cpu_milliseconds(hard)
        alone = neurons_per_second(tasks)
        queued, n_stored = through_the_queue(url, sessions, n_neurons)
        engine.dispose()
    return {
        "neurons": reported(n_neurons, "neurons"),
        "cpu": held_to(cpu, "ms of CPU per neuron", "<", CPU_MILLISECONDS),
        "hard_cpu": held_to(hard_cpu, "ms of CPU per hard neuron", "<", CPU_MILLISECONDS),
        "alone": reported(alone, "neurons/s, 2 processes"),
        "demo": held_to(DEMO_NEURONS / alone, f"s for {DEMO_NEURONS:,} neurons", "<", DEMO_SECONDS),
        "queued": reported(queued, "neurons/s, 2 workers"),
        "queued_demo": reported(DEMO_NEURONS / queued, f"s for {DEMO_NEURONS:,} neurons"),
        "queued_share": reported(queued / alone, "of the speed without the queue"),
        "stored": Figure(n_stored, "results", f"== {n_neurons}", n_stored == n_neurons),
    }


def read_tasks(sessions: Sessions, n_neurons: int) -> list[NeuronTask]:
    """Every neuron with its records, as the worker would read them; its peer is the next one."""
    with transaction(sessions) as session:
        subject = session.scalars(select(Subject).where(Subject.slug == SLUG)).one()
        rows = session.scalars(select(Neuron).where(Neuron.subject_id == subject.id).order_by(Neuron.id)).all()
        neurons = [MeasuredNeuron(row.id, row.max, row.mean) for row in rows[:n_neurons]]
        records = records_of_neurons(session, neurons=neurons, collection_id=subject.collection_id)
        words = vocabulary(session, tokenizer_id=subject.tokenizer_id)
        addresses = [(row.id, row.layer, row.index) for row in rows[:n_neurons]]
    peers = dict(pairwise([number for number, _, _ in addresses]))
    return [
        NeuronTask(number, SLUG, layer, index, records[number], words, records.get(peers.get(number, -1)), seed=number)
        for number, layer, index in addresses
    ]


def entangled(task: NeuronTask) -> NeuronTask:
    """The neuron on the same excerpts with activations that depend on many tokens and what stands before them.

    The drawn neurons like one token, which is soon said; of these there is much to say.
    """
    generator = np.random.default_rng(task.neuron_id)
    own, before = generator.standard_t(3, size=(2, len(task.vocabulary)))

    def activations(ids: Int32s) -> Float32s:
        values = np.maximum(own[ids] + before[np.roll(ids, 1)] - 2, -0.17)
        return np.asarray(values, dtype=np.float32)

    samples = {
        kind: tuple(replace(r, activations=activations(r.token_ids)) for r in rows)
        for kind, rows in task.records.samples.items()
    }
    maximum = max(r.peak for rows in samples.values() for r in rows)
    return replace(task, records=replace(task.records, samples=samples, maximum=maximum))


def work_through(tasks: Sequence[NeuronTask]) -> None:
    """Explain, simulate and score these neurons."""
    method = build_method(LEXICAL, Services())
    for task in tasks:
        with suppress(NoExplanation):  # to find nothing worth saying takes its time, too
            run_method(method, task, _unheard)


def _unheard(stage: str, share: float) -> None:
    """Progress that nobody follows."""


def cpu_milliseconds(tasks: Sequence[NeuronTask]) -> float:
    """Processor time of one neuron, the middle of several rounds."""
    work_through(tasks[:5])  # the vocabulary's tables are made once per process
    rounds = []
    for start in range(0, len(tasks), 50):
        begun = time.process_time()
        work_through(tasks[start : start + 50])
        rounds.append((time.process_time() - begun) / len(tasks[start : start + 50]))
    return 1000 * median(rounds)


def neurons_per_second(tasks: Sequence[NeuronTask]) -> float:
    """All neurons through two processes, each with one half; their start is part of it."""
    context = get_context("fork")
    halves = [tasks[part::N_PROCESSES] for part in range(N_PROCESSES)]
    begun = time.perf_counter()
    processes = [context.Process(target=partial(work_through, half)) for half in halves]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise RuntimeError("a process that explains neurons has failed")
    return len(tasks) / (time.perf_counter() - begun)


def through_the_queue(url: str, sessions: Sessions, n_neurons: int) -> tuple[float, int]:
    """Neurons per second from the first run taken to the last one ended, and headline scores stored."""
    with transaction(sessions) as session:
        ensure_builtin_methods(session)
        subject = session.scalars(select(Subject).where(Subject.slug == SLUG)).one()
        method = session.scalars(select(Method).where(Method.name == LEXICAL.name)).one()
        ids = session.scalars(select(Neuron.id).where(Neuron.subject_id == subject.id).order_by(Neuron.id)).all()
        batch = enqueue_batch(
            session, subject_id=subject.id, neuron_ids=ids[:n_neurons], method_id=method.id, account_id=None
        )
    with workers(url):
        _wait_until_ended(sessions, batch.batch_id)
    with transaction(sessions) as session:
        seconds = session.scalar(
            select(extract("epoch", func.max(Run.finished_at) - func.min(Run.started_at))).where(
                Run.batch_id == batch.batch_id
            )
        )
        stored = session.scalar(
            select(func.count(Score.id))
            .join(Run, Run.id == Score.run_id)
            .where(Run.batch_id == batch.batch_id, Score.sample == "top_and_random", Score.scorer == "correlation")
        )
    return n_neurons / float(seconds or 0), stored or 0


@contextmanager
def workers(url: str) -> Iterator[None]:
    """Two worker processes over one database, stopped as an operator would."""
    environment = os.environ | {"DATABASE_URL": url, "NEURON_AUDIT_LOG_LEVEL": "warning", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "app.cli", "worker"]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))
            for _ in range(N_PROCESSES)
        ]
        try:
            yield
        finally:
            for process in processes:
                process.terminate()


def _wait_until_ended(sessions: Sessions, batch_id: int) -> None:
    deadline = time.monotonic() + LONGEST_WAIT
    while time.monotonic() < deadline:
        with transaction(sessions) as session:
            open_runs = session.scalar(
                select(func.count(Run.id)).where(Run.batch_id == batch_id, Run.status.not_in(_ENDED))
            )
        if not open_runs:
            return
        time.sleep(0.25)
    raise TimeoutError(f"the queue has not ended after {LONGEST_WAIT:.0f} s")


if __name__ == "__main__":
    benchmark("pipeline", measure)
