"""Texts that people try on a neuron: tasks, whose results are deleted after a day."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.trials import TrialResult
from app.domain.work import TRIAL, WorkStatus
from app.errors import NotFound
from app.models import Explanation, Method, Neuron, Subject, Task

LEXICAL = "lexical"


@dataclass(frozen=True, slots=True)
class TrialShown:
    """A trial as its page shows it."""

    id: int
    text: str
    explanation_id: int | None
    status: WorkStatus
    result: TrialResult | None
    error: str | None
    age_seconds: float
    """Since it was queued."""


@dataclass(frozen=True, slots=True)
class TriedExplanation:
    """The explanation whose expected activations are shown. ``asks_model``: its simulator is a language model."""

    id: int
    text: str
    asks_model: bool


@dataclass(frozen=True, slots=True)
class TrialInput:
    """What a worker needs for a trial. ``simulator`` and ``provider`` are those of the explanation's method."""

    slug: str
    layer: int
    index: int
    tokenizer_id: int
    maximum: float | None
    """Of the neuron over the corpus; None where an import does not know it."""
    explanation: str | None
    simulator: str
    provider: str | None


def n_waiting_trials(session: Session, *, account_id: int) -> int:
    """The number of an account's trials that no worker has begun."""
    waiting = Task.kind == TRIAL.name, Task.account_id == account_id, Task.status == WorkStatus.QUEUED
    return session.scalars(select(func.count()).select_from(Task).where(*waiting)).one()


def trial_shown(session: Session, *, trial_id: int, neuron_id: int) -> TrialShown:
    """A trial of this neuron. Raises NotFound."""
    row = session.execute(
        select(Task, func.extract("epoch", func.clock_timestamp() - Task.queued_at))
        .where(Task.id == trial_id, Task.kind == TRIAL.name)
        .execution_options(populate_existing=True)
    ).first()
    if row is None or row.Task.parameters["neuron_id"] != neuron_id:
        raise NotFound("There is no such trial of this neuron. Trials are deleted after a day: try the text again.")
    task, age = row
    return TrialShown(
        id=task.id,
        text=task.parameters["text"],
        explanation_id=task.parameters["explanation_id"],
        status=WorkStatus(task.status),
        result=None if task.result is None else TrialResult.from_json(task.result),
        error=task.error,
        age_seconds=float(age),
    )


def tried_explanation(session: Session, *, neuron_id: int, explanation_id: int) -> TriedExplanation:
    """An explanation of this neuron, to be compared with live activations. Raises NotFound."""
    row = session.execute(
        select(Explanation.id, Explanation.text, Method.provider.is_not(None))
        .outerjoin(Method, Method.id == Explanation.method_id)
        .where(Explanation.id == explanation_id, Explanation.neuron_id == neuron_id)
    ).first()
    if row is None:
        raise NotFound("This neuron has no such explanation.")
    return TriedExplanation(*row)


def trial_input(session: Session, *, neuron_id: int, explanation_id: int | None) -> TrialInput:
    """The neuron and the explanation of a trial. Raises NotFound."""
    row = session.execute(
        select(Subject.slug, Neuron.layer, Neuron.index, Subject.tokenizer_id, Neuron.max, Explanation.text)
        .add_columns(func.coalesce(Method.simulator, LEXICAL), Method.provider)
        .select_from(Neuron)
        .join(Subject, Subject.id == Neuron.subject_id)
        .outerjoin(Explanation, Explanation.id == explanation_id)
        .outerjoin(Method, Method.id == Explanation.method_id)
        .where(Neuron.id == neuron_id)
    ).first()
    if row is None:
        raise NotFound("There is no such neuron.")
    return TrialInput(*row)
