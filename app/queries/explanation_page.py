"""One explanation with all that produced it, and single calls to language models."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.models import Explanation, LlmCall, Neuron, Provider, Subject
from app.queries.neuron_claims import CandidateRow, neuron_candidates

SHOWN_CALLS = 500


@dataclass(frozen=True, slots=True)
class CallRow:
    """One attempt to ask a language model, without its messages."""

    id: int
    step: str
    provider: str
    returned_model: str | None
    outcome: str
    attempt: int
    tokens_in: int | None
    tokens_cached: int | None
    tokens_out: int | None
    price: float | None
    latency_seconds: float | None


@dataclass(frozen=True, slots=True)
class CallShown:
    """One attempt, whole: as it went over the wire and came back."""

    row: CallRow
    run_id: int | None
    request: dict[str, Any]
    reply: dict[str, Any] | None
    error: str | None
    parser_version: str | None
    created_at: datetime
    base_url: str | None
    """Of the provider as it is today; None where it has been removed or runs on a worker."""
    key_variable: str | None


@dataclass(frozen=True, slots=True)
class ExplanationShown:
    """An explanation, the neuron it speaks of, and the calls of its run."""

    candidate: CandidateRow
    subject: str
    layer: int
    index: int
    method_id: int | None
    calls: tuple[CallRow, ...]


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
    LlmCall.price,
    LlmCall.latency_seconds,
)


def explanation_shown(session: Session, *, explanation_id: int) -> ExplanationShown:
    """One explanation. Three queries. Raises NotFound."""
    row = session.execute(
        select(Explanation.neuron_id, Explanation.method_id, Subject.slug, Neuron.layer, Neuron.index.label("place"))
        .join(Neuron, Neuron.id == Explanation.neuron_id)
        .join(Subject, Subject.id == Neuron.subject_id)
        .where(Explanation.id == explanation_id)
    ).first()
    if row is None:
        raise NotFound("There is no such explanation.")
    candidate = next(c for c in neuron_candidates(session, neuron_id=row.neuron_id) if c.id == explanation_id)
    calls = run_calls(session, run_id=candidate.run_id) if candidate.run_id is not None else ()
    return ExplanationShown(candidate, row.slug, row.layer, row.place, row.method_id, calls)


def run_calls(session: Session, *, run_id: int) -> tuple[CallRow, ...]:
    """The calls of a run in the order they were made, without their messages."""
    calls = select(*_CALL_COLUMNS).where(LlmCall.run_id == run_id).order_by(LlmCall.id).limit(SHOWN_CALLS)
    return tuple(CallRow(*row) for row in session.execute(calls))


def call_shown(session: Session, *, call_id: int) -> CallShown:
    """One call, whole. Raises NotFound."""
    found = session.execute(
        select(LlmCall, Provider.base_url, Provider.key_variable)
        .outerjoin(Provider, Provider.name == LlmCall.provider)
        .where(LlmCall.id == call_id)
    ).first()
    if found is None:
        raise NotFound("There is no such call.")
    call, base_url, key_variable = found
    return CallShown(
        row=CallRow(*(getattr(call, column.key) for column in _CALL_COLUMNS)),
        run_id=call.run_id,
        request=call.request,
        reply=call.reply,
        error=call.error,
        parser_version=call.parser_version,
        created_at=call.created_at,
        base_url=base_url,
        key_variable=key_variable,
    )
