"""One explanation with everything needed to reproduce it, and single calls to language models."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from app.domain.events import EventKind
from app.domain.standing import speaks_for_its_run
from app.domain.work import WorkStatus
from app.errors import NotFound
from app.models import Event, Explanation, LlmCall, Method, Neuron, Provider, Run, Subject
from app.queries.imports.judgements import NONE, Judgements, imported_judgements
from app.queries.neurons.claims import ExplanationRow, neuron_explanations
from app.queries.runs.active import is_active

SHOWN_CALLS = 500
SHOWN_RUNS = 20


@dataclass(frozen=True, slots=True)
class CallRow:
    """One attempt to call a language model, without its messages."""

    id: int
    step: str
    provider: str
    returned_model: str | None
    outcome: str
    attempt: int
    tokens_in: int | None
    tokens_cached: int | None
    tokens_out: int | None
    is_estimated: bool
    """Whether tokens and price are estimated by this program, since the endpoint reported no token counts."""
    price: float | None
    latency_seconds: float | None


@dataclass(frozen=True, slots=True)
class CallShown:
    """One attempt to call a language model, with the messages as sent and received."""

    row: CallRow
    run_id: int | None
    request: dict[str, Any]
    reply: dict[str, Any] | None
    error: str | None
    parser_version: str | None
    created_at: datetime
    base_url: str | None
    """The provider's present base URL; None if the provider was removed or runs on a worker."""
    key_variable: str | None


@dataclass(frozen=True, slots=True)
class RunOfExplanation:
    """A run that scored this explanation, or a run of its method that has not ended."""

    id: int
    method: str
    status: str
    error: str | None
    is_scoring: bool
    """Whether the run scores this very text; otherwise it explains the neuron again."""
    provenance: dict[str, Any] | None
    """Provenance of the scores."""

    @property
    def is_active(self) -> bool:
        """Whether it is queued or running."""
        return WorkStatus(self.status).is_active


@dataclass(frozen=True, slots=True)
class ExplanationShown:
    """An explanation with its neuron, its runs, and the calls of the run that produced its scores."""

    row: ExplanationRow
    subject_id: int
    subject: str
    neuron_id: int
    layer: int
    index: int
    collection_id: int | None
    """The subject's newest complete collection, the one that pages show."""
    method_id: int | None
    runs: tuple[RunOfExplanation, ...]
    replays: tuple[ExplanationRow, ...]
    """The results of other runs of the same method on the neuron, newest first."""
    calls: tuple[CallRow, ...]
    elsewhere: Judgements
    """Judgements by people at other sites, from an imported file."""

    @property
    def is_replaying(self) -> bool:
        """Whether a run of its method is explaining the neuron again right now."""
        return any(run.is_active and not run.is_scoring for run in self.runs)


_CALL_COLUMNS = (
    LlmCall.id,
    LlmCall.step,
    LlmCall.provider,
    LlmCall.returned_model,
    LlmCall.outcome,
    LlmCall.attempt,
    LlmCall.tokens_in,
    LlmCall.tokens_cached,
    LlmCall.tokens_out,
    LlmCall.is_estimated,
    LlmCall.price,
    LlmCall.latency_seconds,
)


def explanation_shown(session: Session, *, explanation_id: int) -> ExplanationShown:
    """One explanation. Five queries. Raises NotFound."""
    address = session.execute(
        select(
            Explanation.neuron_id,
            Explanation.method_id,
            Neuron.subject_id,
            Subject.slug,
            Subject.collection_id,
            Neuron.layer,
            Neuron.index.label("number"),
        )
        .join(Neuron, Neuron.id == Explanation.neuron_id)
        .join(Subject, Subject.id == Neuron.subject_id)
        .where(Explanation.id == explanation_id)
    ).first()
    if address is None:
        raise NotFound("There is no such explanation.")
    explanations = neuron_explanations(session, neuron_id=address.neuron_id)
    shown = next(row for row in explanations if row.id == explanation_id)
    runs = _runs(session, explanation_id=explanation_id, neuron_id=address.neuron_id, method_id=address.method_id)
    run_id = shown.run_id or next((run.id for run in runs if run.is_scoring), None)
    return ExplanationShown(
        row=shown,
        subject_id=address.subject_id,
        subject=address.slug,
        neuron_id=address.neuron_id,
        layer=address.layer,
        index=address.number,
        collection_id=address.collection_id,
        method_id=address.method_id,
        runs=runs,
        replays=_replays(shown, explanations),
        calls=() if run_id is None else run_calls(session, run_id=run_id),
        elsewhere=imported_judgements(session, explanation_ids=[explanation_id]).get(explanation_id, NONE),
    )


def _replays(shown: ExplanationRow, explanations: Sequence[ExplanationRow]) -> tuple[ExplanationRow, ...]:
    """The explanations that represent the other runs of the same version of the method."""
    if shown.run_id is None or shown.method_id is None:
        return ()
    return tuple(
        row
        for row in explanations
        if row.method_id == shown.method_id and row.run_id not in (None, shown.run_id) and speaks_for_its_run(row)
    )


def _runs(
    session: Session, *, explanation_id: int, neuron_id: int, method_id: int | None
) -> tuple[RunOfExplanation, ...]:
    is_scoring = Run.explanation_id == explanation_id
    replays = and_(Run.method_id == method_id, Run.explanation_id.is_(None), is_active())
    has_ended = and_(
        Event.neuron_id == Run.neuron_id,
        Event.kind == EventKind.RUN_SUCCEEDED,
        Event.detail["run_id"].as_integer() == Run.id,
    )
    rows = session.execute(
        select(Run, Method.name, Method.version, Event.detail)
        .join(Method, Method.id == Run.method_id)
        .outerjoin(Event, and_(has_ended, is_scoring))
        .where(Run.neuron_id == neuron_id, or_(is_scoring, replays))
        .order_by(Run.id.desc())
        .limit(SHOWN_RUNS)
    )
    return tuple(
        RunOfExplanation(
            id=run.id,
            method=f"{name} v{version}",
            status=run.status,
            error=run.error,
            is_scoring=run.explanation_id is not None,
            provenance=None if detail is None else detail.get("provenance"),
        )
        for run, name, version, detail in rows
    )


def run_calls(session: Session, *, run_id: int) -> tuple[CallRow, ...]:
    """The calls of a run in the order they were made, without their messages."""
    calls = select(*_CALL_COLUMNS).where(LlmCall.run_id == run_id).order_by(LlmCall.id).limit(SHOWN_CALLS)
    return tuple(_call_row(row) for row in session.execute(calls))


def _call_row(row: Any) -> CallRow:
    """A call as the page shows it, from a database row that has a call's columns."""
    return CallRow(**{column.key: getattr(row, column.key) for column in _CALL_COLUMNS})


def call_shown(session: Session, *, call_id: int) -> CallShown:
    """One call with its messages. Raises NotFound."""
    found = session.execute(
        select(LlmCall, Provider.base_url, Provider.key_variable)
        .outerjoin(Provider, Provider.name == LlmCall.provider)
        .where(LlmCall.id == call_id)
    ).first()
    if found is None:
        raise NotFound("There is no such call.")
    call, base_url, key_variable = found
    return CallShown(
        row=_call_row(call),
        run_id=call.run_id,
        request=call.request,
        reply=call.reply,
        error=call.error,
        parser_version=call.parser_version,
        created_at=call.created_at,
        base_url=base_url,
        key_variable=key_variable,
    )
