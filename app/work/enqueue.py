"""People's decisions about runs: queue a batch, cancel it or one run, start a run over.

Each function works in the caller's transaction: the batch, its runs and the event are committed together
or not at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.domain.bounds import MOST_IN_BATCH
from app.domain.events import EventKind
from app.domain.work import Lane
from app.errors import Conflict, Invalid, NotFound
from app.models import Batch, Explanation, Method, Neuron
from app.queries.history.events import record_event, record_neuron_event
from app.queries.neurons.selection import NeuronSelection, count_selected
from app.queries.neurons.titles import selection_title
from app.queries.runs import batches
from app.work.decisions import cancel_rows, start_over
from app.work.engine import wake_workers


@dataclass(frozen=True, slots=True)
class EnqueuedBatch:
    """The result of queueing. ``n_skipped`` neurons already had an active run of the method."""

    batch_id: int
    n_queued: int
    n_skipped: int


def enqueue_batch(
    session: Session,
    *,
    subject_id: int,
    neuron_ids: Sequence[int],
    method_id: int,
    account_id: int | None,
    limit: int = MOST_IN_BATCH,
) -> EnqueuedBatch:
    """``enqueue_selection`` of named neurons."""
    selection = NeuronSelection.of(subject_id, neuron_ids)
    return enqueue_selection(session, selection=selection, method_id=method_id, account_id=account_id, limit=limit)


def enqueue_selection(
    session: Session,
    *,
    selection: NeuronSelection,
    method_id: int,
    account_id: int | None,
    limit: int = MOST_IN_BATCH,
    filters: str | None = None,
) -> EnqueuedBatch:
    """Queue the selected neurons for a method, as one batch.

    ``filters`` is the query string of the list that chose them. A neuron that already has an active run of the method
    is skipped and counted. Raises NotFound for an unknown method and for named neurons that the subject does not have,
    Invalid for an empty selection, one over ``limit``, and if every neuron already has an active run.
    """
    method = session.get(Method, method_id)
    if method is None:
        raise NotFound("There is no such method.")
    n_selected = count_selected(session, selection=selection)
    if n_selected == 0:
        raise Invalid("Nothing is selected: choose at least one neuron.")
    if n_selected > limit:
        raise Invalid(f"{n_selected:,} neurons are selected; one batch may hold {limit:,}. Narrow the selection.")
    batch = batches.insert_batch(
        session,
        subject_id=selection.subject_id,
        method_id=method_id,
        account_id=account_id,
        origin=batches.BatchOrigin(
            selection_title(session, selection=selection), None if selection.neuron_ids is not None else filters
        ),
    )
    n_queued = batches.insert_runs(session, batch=batch, selection=selection)
    if n_queued == 0:
        raise Invalid("Nothing is left to queue: every selected neuron is already queued or running with this method.")
    n_skipped = n_selected - n_queued
    _announce(session, batch, {"method": method.name, "n_queued": n_queued, "n_skipped": n_skipped})
    return EnqueuedBatch(batch.id, n_queued, n_skipped)


def enqueue_scoring(session: Session, *, explanation_id: int, method_id: int, account_id: int | None) -> EnqueuedBatch:
    """Queue an explanation to be simulated and scored by a method, which explains nothing.

    Raises NotFound for an unknown explanation or method, Conflict if its neuron already has an active run of the
    method.
    """
    explanation, method = session.get(Explanation, explanation_id), session.get(Method, method_id)
    if explanation is None:
        raise NotFound("There is no such explanation.")
    if method is None:
        raise NotFound("There is no such method.")
    neuron = session.get_one(Neuron, explanation.neuron_id)
    batch = batches.insert_batch(
        session,
        subject_id=neuron.subject_id,
        method_id=method_id,
        account_id=account_id,
        explanation_id=explanation_id,
        origin=batches.BatchOrigin(f"an explanation of neuron {neuron.layer}/{neuron.index}"),
    )
    selection = NeuronSelection.of(neuron.subject_id, [neuron.id])
    if batches.insert_runs(session, batch=batch, selection=selection) == 0:
        raise Conflict(
            "This neuron is already queued or running with this method. Wait until that run has ended, or choose"
            " another method, then try again."
        )
    detail = {"method": method.name, "n_queued": 1, "n_skipped": 0, "explanation_id": explanation_id}
    _announce(session, batch, detail)
    return EnqueuedBatch(batch.id, 1, 0)


def _announce(session: Session, batch: Batch, detail: Mapping[str, object]) -> None:
    """Finish queueing: record the event and wake the workers."""
    wake_workers(session, lane=Lane.RUNS)
    record_event(
        session,
        kind=EventKind.BATCH_QUEUED,
        account_id=batch.account_id,
        subject_id=batch.subject_id,
        detail={"batch_id": batch.id, **detail},
    )


def cancel_batch(session: Session, *, batch_id: int, account_id: int | None, reason: str | None = None) -> int:
    """Cancel the runs of a batch that have not ended; returns their number. ``reason`` becomes their error.

    A running one notices at its next report, and its result is refused. Raises NotFound for an unknown
    batch, Conflict if every run has ended.
    """
    batch = session.get(Batch, batch_id)
    if batch is None:
        raise NotFound("There is no such batch.")
    n_cancelled = cancel_rows(session, which="batch", row_id=batch_id, reason=reason)
    if n_cancelled == 0:
        raise Conflict("Every run of this batch has already ended.")
    batches.mark_cancelled(session, batch_id=batch_id)
    record_event(
        session,
        kind=EventKind.BATCH_CANCELLED,
        account_id=account_id,
        subject_id=batch.subject_id,
        detail={"batch_id": batch_id, "n_cancelled": n_cancelled, **({"reason": reason} if reason else {})},
    )
    return n_cancelled


def cancel_run(session: Session, *, run_id: int, account_id: int | None) -> None:
    """Cancel one run. Raises NotFound for an unknown run, Conflict for one that has ended."""
    run = _run(session, run_id)
    if cancel_rows(session, which="run", row_id=run_id) == 0:
        raise Conflict(f"This run has already ended: it is {run.status}.")
    record_neuron_event(
        session,
        kind=EventKind.RUN_CANCELLED,
        about=run,
        account_id=account_id,
        detail={"run_id": run_id, "batch_id": run.batch_id},
    )


def retry_run(session: Session, *, run_id: int, account_id: int | None) -> None:
    """Queue a failed, cancelled or quarantined run again under its own id.

    Attempts and crashes start over; the history keeps the error. Raises NotFound for an unknown run,
    Conflict for one that is active or has succeeded, or whose neuron has another active run of the method.
    """
    run = _run(session, run_id)
    if not run.status.may_be_retried:
        raise Conflict(f"Only a failed, cancelled or quarantined run can be retried; this one is {run.status}.")
    start_over(session, which="run", row_id=run_id)
    batches.mark_going_on(session, batch_id=run.batch_id)
    wake_workers(session, lane=Lane.RUNS)
    record_neuron_event(
        session,
        kind=EventKind.RUN_RETRIED,
        about=run,
        account_id=account_id,
        detail={"run_id": run_id, "batch_id": run.batch_id, "was": run.status, "error": run.error},
    )


def _run(session: Session, run_id: int) -> batches.RunState:
    run = batches.locked_run(session, run_id=run_id)
    if run is None:
        raise NotFound("There is no such run.")
    return run
