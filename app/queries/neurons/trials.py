"""Texts that people try on a neuron. They are tasks whose results are deleted after a day."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from app.domain.arrays import Float32s
from app.domain.steps.simulators import LEXICAL
from app.domain.trials import FiringResult, TrialResult
from app.domain.work import FIRING, QUERY_EMBEDDING, TRIAL, WorkStatus
from app.errors import NotFound
from app.models import Explanation, Method, Neuron, Subject, Task

LAST_TEXTS = 6
"""Number of an account's last texts that the page offers again."""


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
    """Seconds since the trial was queued."""


@dataclass(frozen=True, slots=True)
class TriedExplanation:
    """The explanation whose expected activations are shown."""

    id: int
    text: str


@dataclass(frozen=True, slots=True)
class TrialInput:
    """What a worker needs for a trial. ``simulator`` and ``provider`` are those of the explanation's method."""

    slug: str
    layer: int
    index: int
    tokenizer_id: int
    maximum: float | None
    """The neuron's maximum over the corpus; None if an import does not give it."""
    explanation: str | None
    simulator: str
    provider: str | None


def n_waiting_trials(session: Session, *, account_id: int) -> int:
    """The number of an account's tried or searched texts that no worker has begun."""
    kinds = [TRIAL.name, FIRING.name, QUERY_EMBEDDING.name]
    waiting = Task.kind.in_(kinds), Task.account_id == account_id, Task.status == WorkStatus.QUEUED
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


@dataclass(frozen=True, slots=True)
class LastText:
    """A text that an account has tried on a neuron; ``peak`` is None until there is a result."""

    id: int
    text: str
    peak: float | None


def last_texts(session: Session, *, account_id: int, neuron_id: int) -> tuple[LastText, ...]:
    """The last texts that an account tried on a neuron, each once, newest first. One query."""
    rows = session.scalars(
        select(Task)
        .where(
            Task.kind == TRIAL.name,
            Task.account_id == account_id,
            Task.parameters["neuron_id"].as_integer() == neuron_id,
        )
        .order_by(Task.id.desc())
        .limit(4 * LAST_TEXTS)
    ).all()
    newest: dict[str, LastText] = {}
    for task in rows:
        peak = None if task.result is None else max(TrialResult.from_json(task.result).activations, default=None)
        newest.setdefault(task.parameters["text"], LastText(task.id, task.parameters["text"], peak))
    return tuple(newest.values())[:LAST_TEXTS]


@dataclass(frozen=True, slots=True)
class FiringShown:
    """State and result of the search for the neurons that fire on a text."""

    id: int
    text: str
    tokenizer_id: int
    status: WorkStatus
    result: FiringResult | None
    error: str | None
    age_seconds: float
    """Seconds since the search was queued."""


def firing_shown(session: Session, *, trial_id: int, subject_id: int) -> FiringShown:
    """A search among the neurons of this subject. Raises NotFound."""
    row = session.execute(
        select(Task, func.extract("epoch", func.clock_timestamp() - Task.queued_at), Subject.tokenizer_id)
        .join(Subject, Subject.id == Task.subject_id)
        .where(Task.id == trial_id, Task.kind == FIRING.name, Task.subject_id == subject_id)
        .execution_options(populate_existing=True)
    ).first()
    if row is None:
        raise NotFound("There is no such search. Searches are deleted after a day: send the text again.")
    task, age, tokenizer_id = row
    return FiringShown(
        id=task.id,
        text=task.parameters["text"],
        tokenizer_id=tokenizer_id,
        status=WorkStatus(task.status),
        result=None if task.result is None else FiringResult.from_json(task.result),
        error=task.error,
        age_seconds=float(age),
    )


def texts_of(session: Session, *, subject_id: int, positions: Sequence[tuple[int, int]]) -> dict[tuple[int, int], str]:
    """The current explanations of neurons by (layer, index), for those that have one. One query."""
    rows = session.execute(
        select(Neuron.layer, Neuron.index.label("number"), Neuron.current_text).where(
            Neuron.subject_id == subject_id,
            tuple_(Neuron.layer, Neuron.index).in_(positions),
            Neuron.current_text.is_not(None),
        )
    )
    return {(row.layer, row.number): row.current_text for row in rows}


def neuron_maxima(session: Session, *, subject_id: int, widths: Sequence[int]) -> list[Float32s]:
    """The maxima over the corpus of each layer's neurons [width], in the model's own units; NaN if not known."""
    maxima = [np.full(width, np.nan, dtype=np.float32) for width in widths]
    rows = session.execute(
        select(Neuron.layer, Neuron.index.label("number"), Neuron.max).where(
            Neuron.subject_id == subject_id, Neuron.max.is_not(None)
        )
    )
    for row in rows:
        if row.layer < len(maxima) and row.number < len(maxima[row.layer]):
            maxima[row.layer][row.number] = row.max
    return maxima


def tried_explanation(session: Session, *, neuron_id: int, explanation_id: int) -> TriedExplanation:
    """An explanation of this neuron whose expected activations are to be shown. Raises NotFound."""
    row = session.execute(
        select(Explanation.id, Explanation.text).where(
            Explanation.id == explanation_id, Explanation.neuron_id == neuron_id
        )
    ).first()
    if row is None:
        raise NotFound("This neuron has no such explanation.")
    return TriedExplanation(*row)


def trial_input(session: Session, *, neuron_id: int, explanation_id: int | None) -> TrialInput:
    """The neuron and the explanation of a trial. Raises NotFound."""
    row = session.execute(
        select(Subject.slug, Neuron.layer, Neuron.index, Subject.tokenizer_id, Neuron.max, Explanation.text)
        .add_columns(func.coalesce(Method.simulator, LEXICAL.name), Method.provider)
        .select_from(Neuron)
        .join(Subject, Subject.id == Neuron.subject_id)
        .outerjoin(Explanation, Explanation.id == explanation_id)
        .outerjoin(Method, Method.id == Explanation.method_id)
        .where(Neuron.id == neuron_id)
    ).first()
    if row is None:
        raise NotFound("There is no such neuron.")
    return TrialInput(*row)
