"""Queueing of a text to try on a neuron, or of loading a subject on which a person is about to try one."""

from sqlalchemy.orm import Session

from app.domain.work import FIRING, TRIAL, WARM_UP
from app.errors import Conflict
from app.queries.neurons.location import neuron_address
from app.queries.neurons.trials import n_waiting_trials
from app.queries.people.accounts import lock_account
from app.work.tasks import enqueue_task

MOST_WAITING = 5
"""Trials of one account that may wait at the same time."""


def enqueue_trial(session: Session, *, neuron_id: int, explanation_id: int | None, account_id: int, words: str) -> int:
    """Queue a text to try; returns the task's id. Raises NotFound, Conflict if too many trials wait."""
    require_patience(session, account_id)
    address = neuron_address(session, neuron_id=neuron_id)
    return enqueue_task(
        session,
        kind=TRIAL,
        title=f"{address.subject} {address.layer}/{address.index}",
        account_id=account_id,
        subject_id=address.subject_id,
        parameters={
            "slug": address.subject,
            "layer": address.layer,
            "index": address.index,
            "neuron_id": neuron_id,
            "explanation_id": explanation_id,
            "text": words,
        },
    ).id


def enqueue_firing(session: Session, *, subject_id: int, slug: str, account_id: int, words: str) -> int:
    """Queue the search for the neurons that fire on a text; returns the task's id.

    Raises Conflict if too many trials of the account wait.
    """
    require_patience(session, account_id)
    return enqueue_task(
        session,
        kind=FIRING,
        title=slug,
        account_id=account_id,
        subject_id=subject_id,
        parameters={"slug": slug, "subject_id": subject_id, "text": words},
    ).id


def require_patience(session: Session, account_id: int) -> None:
    """Raise Conflict if too many texts of the account wait."""
    lock_account(session, account_id=account_id)  # locked, since simultaneous requests would not see each other's texts
    if n_waiting_trials(session, account_id=account_id) >= MOST_WAITING:
        raise Conflict("Several of your texts wait for a worker already. See whether one is running, then try again.")


def enqueue_warm_up(session: Session, *, subject_id: int, slug: str, account_id: int) -> int:
    """Queue the loading of a subject, unless it is queued already; returns the task's id."""
    return enqueue_task(
        session,
        kind=WARM_UP,
        title=slug,
        account_id=account_id,
        subject_id=subject_id,
        unique_key=f"{WARM_UP.name}:{subject_id}",
        parameters={"slug": slug},
    ).id
