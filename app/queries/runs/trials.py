"""Texts that people try on a neuron: asked by the web, answered by a worker, forgotten after a day."""

from dataclasses import dataclass

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import Session

from app.domain.trials import TrialResult
from app.errors import Conflict, NotFound
from app.models import Explanation, Method, Trial

CHANNEL = "neuron_audit_trial"
"""Workers listen here: a subject's name when somebody is about to try a text, nothing when one has been asked."""
MOST_WAITING = 5
"""Trials of one account that may wait at a time."""
LEXICAL = "lexical"

_TAKE = text("""
    WITH taken AS (
        UPDATE trial SET status = 'running'
        WHERE id = (SELECT id FROM trial WHERE status = 'waiting' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING id, text, neuron_id, explanation_id
    )
    SELECT taken.id, taken.text, subject.slug, neuron.layer, neuron.index, subject.tokenizer_id,
        explanation.text AS explanation, method.simulator, method.provider
    FROM taken
    JOIN neuron ON neuron.id = taken.neuron_id
    JOIN subject ON subject.id = neuron.subject_id
    LEFT JOIN explanation ON explanation.id = taken.explanation_id
    LEFT JOIN method ON method.id = explanation.method_id
""")


@dataclass(frozen=True, slots=True)
class TakenTrial:
    """What a worker needs to know. ``simulator`` and ``provider`` are the explanation's method's, if it has one."""

    id: int
    text: str
    subject: str
    layer: int
    index: int
    tokenizer_id: int
    explanation: str | None
    simulator: str | None
    provider: str | None


@dataclass(frozen=True, slots=True)
class TrialShown:
    """A trial as its page shows it."""

    id: int
    text: str
    explanation_id: int | None
    status: str
    result: TrialResult | None
    error: str | None
    age_seconds: float
    """Since it was asked."""


@dataclass(frozen=True, slots=True)
class TriedExplanation:
    """The explanation whose expected activations are asked for. ``asks_model``: its simulator is a language model."""

    id: int
    text: str
    asks_model: bool


def announce_trial(session: Session, *, subject: str) -> None:
    """Tell the workers at the commit that somebody is about to try a text, so that they load the subject."""
    session.execute(select(func.pg_notify(CHANNEL, subject)))


def ask_trial(session: Session, *, neuron_id: int, explanation_id: int | None, account_id: int, words: str) -> int:
    """Store a text to be tried and wake the workers at the commit; answers its id.

    Raises Conflict where too many of the account's trials wait.
    """
    waiting = select(func.count()).where(Trial.account_id == account_id, Trial.status == "waiting")
    if session.scalars(waiting).one() >= MOST_WAITING:
        raise Conflict("Several of your texts wait for a worker already. See whether one is running, then try again.")
    trial = Trial(neuron_id=neuron_id, explanation_id=explanation_id, account_id=account_id, text=words)
    session.add(trial)
    session.flush()  # its address needs its id
    session.execute(select(func.pg_notify(CHANNEL, "")))
    return trial.id


def trial_shown(session: Session, *, trial_id: int, neuron_id: int) -> TrialShown:
    """A trial of this neuron. Raises NotFound."""
    row = session.execute(
        select(Trial, func.extract("epoch", func.clock_timestamp() - Trial.created_at))
        .where(Trial.id == trial_id, Trial.neuron_id == neuron_id)
        .execution_options(populate_existing=True)
    ).first()
    if row is None:
        raise NotFound("There is no such trial of this neuron. Trials are deleted after a day: try the text again.")
    trial, age = row
    return TrialShown(
        id=trial.id,
        text=trial.text,
        explanation_id=trial.explanation_id,
        status=trial.status,
        result=None if trial.result is None else TrialResult.from_json(trial.result),
        error=trial.error,
        age_seconds=float(age),
    )


def tried_explanation(session: Session, *, neuron_id: int, explanation_id: int) -> TriedExplanation:
    """An explanation of this neuron, to be held against live activations. Raises NotFound."""
    row = session.execute(
        select(Explanation.id, Explanation.text, Method.provider.is_not(None))
        .outerjoin(Method, Method.id == Explanation.method_id)
        .where(Explanation.id == explanation_id, Explanation.neuron_id == neuron_id)
    ).first()
    if row is None:
        raise NotFound("This neuron has no such explanation.")
    return TriedExplanation(*row)


def take_trial(session: Session) -> TakenTrial | None:
    """The oldest trial that waits, now this worker's. None where none waits."""
    row = session.execute(_TAKE).first()
    return None if row is None else TakenTrial(*row)


def finish_trial(session: Session, *, trial_id: int, result: TrialResult) -> None:
    """Store a trial's answer."""
    _end(session, trial_id, status="done", result=result.as_json())


def fail_trial(session: Session, *, trial_id: int, error: str) -> None:
    """Store why a trial has no answer."""
    _end(session, trial_id, status="failed", error=error)


def _end(session: Session, trial_id: int, **values: object) -> None:
    ended = {**values, "finished_at": func.clock_timestamp()}
    session.execute(update(Trial).where(Trial.id == trial_id, Trial.status == "running").values(ended))


def delete_old_trials(session: Session, *, hours: int) -> None:
    """Delete the trials that were asked more than ``hours`` ago."""
    session.execute(delete(Trial).where(Trial.created_at < func.now() - func.make_interval(0, 0, 0, 0, hours)))
