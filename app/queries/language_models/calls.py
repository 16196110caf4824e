"""Calls to language models: stored as they happen, and found again when a run resumes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import and_, func, or_, select, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.domain.events import EventKind
from app.domain.language_models import Outcome
from app.domain.storable import storable_json
from app.errors import NotFound
from app.models import Account, Batch, LlmCall, Run, Spending, Task
from app.queries.history.events import record_event
from app.redaction import redacted_json

ANSWERED = tuple(outcome for outcome in Outcome if outcome.is_answered)


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt, ready to store. ``price`` in the provider's currency, ``latency`` in seconds."""

    step: str
    request_digest: str
    provider: str
    request: Mapping[str, Any]
    reply: Mapping[str, Any] | None
    returned_model: str | None
    parser_version: str | None
    outcome: Outcome
    error: str | None
    attempt: int
    tokens: tuple[int, int, int] | None
    """Input, cached, output; None if there was no answer."""
    is_estimated: bool
    """Whether tokens and price are estimated by this program, since the endpoint reported no token counts."""
    price: float | None
    latency_seconds: float


def store_call(session: Session, *, run_id: int | None, call: Call, task_id: int | None = None) -> int:
    """Insert one call and add its price to what its batch and its person have spent; returns its id.

    The call was made for a run, for a task, or for neither.
    """
    tokens_in, tokens_cached, tokens_out = call.tokens if call.tokens is not None else (None, None, None)
    row = LlmCall(
        run_id=run_id,
        task_id=task_id,
        run_attempt=_attempt_of(session, run_id),
        step=call.step,
        request_digest=call.request_digest,
        provider=call.provider,
        request=_stored(call.request),
        reply=None if call.reply is None else _stored(call.reply),
        returned_model=None if call.returned_model is None else _stored(call.returned_model),
        parser_version=call.parser_version,
        outcome=call.outcome,
        error=None if call.error is None else _stored(call.error),
        attempt=call.attempt,
        tokens_in=tokens_in,
        tokens_cached=tokens_cached,
        tokens_out=tokens_out,
        is_estimated=call.is_estimated,
        price=call.price,
        latency_seconds=call.latency_seconds,
    )
    session.add(row)
    session.flush()  # the caller needs its id
    if call.price and run_id is not None:
        estimated = call.price if call.is_estimated else 0.0
        _add_spending(session, _add_to_batch(session, run_id, call.price, estimated=estimated), call.price)
    elif call.price and task_id is not None:
        _add_spending(session, session.get_one(Task, task_id).account_id, call.price)
    return row.id


def _stored(value: Any) -> Any:
    """A request or reply in storable form, without any key that it contains."""
    return redacted_json(storable_json(value), words=False)


def _attempt_of(session: Session, run_id: int | None) -> int:
    return 0 if run_id is None else session.scalars(select(Run.attempt).where(Run.id == run_id)).one()


def _add_to_batch(session: Session, run_id: int, price: float, *, estimated: float) -> int | None:
    """Add a price to the batch's spending; returns the account that queued the batch."""
    batch = select(Run.batch_id).where(Run.id == run_id).scalar_subquery()
    return session.scalar(
        update(Batch)
        .where(Batch.id == batch)
        .values(spent=Batch.spent + price, spent_estimated=Batch.spent_estimated + estimated)
        .returning(Batch.account_id)
    )


def _add_spending(session: Session, account_id: int | None, price: float) -> None:
    if account_id is None:
        return
    today = insert(Spending).values(account_id=account_id, day=datetime.now(UTC).date(), spent=price)
    session.execute(
        today.on_conflict_do_update(
            index_elements=["account_id", "day"], set_={"spent": Spending.spent + today.excluded.spent}
        )
    )


def answered_calls(session: Session, *, run_id: int) -> list[LlmCall]:
    """Calls of a run that need not be repeated, oldest first.

    Usable replies always; others only if they belong to the run's present attempt, so that a retried run sends those
    requests again.
    """
    run = session.get(Run, run_id)
    if run is None:
        return []
    this_time = and_(
        LlmCall.outcome.in_(ANSWERED), LlmCall.run_attempt == run.attempt, LlmCall.created_at >= run.queued_at
    )
    return list(
        session.scalars(
            select(LlmCall)
            .where(LlmCall.run_id == run_id, or_(LlmCall.outcome == Outcome.OK, this_time))
            .order_by(LlmCall.id)
        )
    )


@dataclass(frozen=True, slots=True)
class Budget:
    """What a batch or task, and its person (today, UTC), have spent and may spend; a cap of None means no cap."""

    batch_id: int | None
    """The batch; None for a task."""
    spent: float
    """What the batch or the task has spent."""
    estimated: float
    """The part of it that is estimated by this program, since the endpoint reported no token counts."""
    cap: float | None
    account: str | None
    account_spent_today: float
    account_cap_per_day: float | None

    def refusal(self, price: float) -> str | None:
        """Why a further ``price``, for pending calls and the next one, may not be spent; None if it may."""
        more = f"Calls under way and the next may cost {price:.4f} more."
        if self.cap is not None and self.spent + price > self.cap:
            what = "task" if self.batch_id is None else "batch"
            of_it = f", {self.estimated:.4f} of it by our estimate" if self.estimated else ""
            return f"The {what}'s cap of {self.cap:g} is reached: {self.spent:.4f} is spent{of_it}. {more}"
        cap = self.account_cap_per_day
        if cap is not None and self.account_spent_today + price > cap:
            today = f"{self.account_spent_today:.4f} is spent today"
            return f"{self.account}'s cap of {cap:g} a day is reached: {today}. {more}"
        return None


def budget_of_run(session: Session, *, run_id: int) -> Budget | None:
    """The spending and caps that apply to a run; None for a run that does not exist."""
    today = datetime.now(UTC).date()
    row = session.execute(
        select(
            Batch.id,
            Batch.spent,
            Batch.spent_estimated,
            Batch.price_cap,
            Account.name,
            Spending.spent,
            Account.price_cap_per_day,
        )
        .join(Run, Run.batch_id == Batch.id)
        .outerjoin(Account, Account.id == Batch.account_id)
        .outerjoin(Spending, and_(Spending.account_id == Account.id, Spending.day == today))
        .where(Run.id == run_id)
    ).first()
    return None if row is None else Budget(row[0], row[1], row[2], row[3], row[4], row[5] or 0.0, row[6])


def budget_of_task(session: Session, *, task_id: int) -> Budget | None:
    """The spending and caps that apply to a task; None for a task that does not exist.

    The task's own cap is its parameter ``price_cap``.
    """
    today = datetime.now(UTC).date()
    estimated = func.sum(LlmCall.price).filter(LlmCall.is_estimated)
    spent = (
        select(
            func.coalesce(func.sum(LlmCall.price), 0.0).label("all"), func.coalesce(estimated, 0.0).label("estimated")
        )
        .where(LlmCall.task_id == task_id)
        .subquery()
    )
    row = session.execute(
        select(Task.parameters, spent.c.all, spent.c.estimated, Account.name, Spending.spent, Account.price_cap_per_day)
        .select_from(Task)
        .join(spent, true())
        .outerjoin(Account, Account.id == Task.account_id)
        .outerjoin(Spending, and_(Spending.account_id == Account.id, Spending.day == today))
        .where(Task.id == task_id)
    ).first()
    return None if row is None else Budget(None, row[1], row[2], row[0].get("price_cap"), row[3], row[4] or 0.0, row[5])


def cap_batch(session: Session, *, batch_id: int, price_cap: float | None, by: int | None = None) -> None:
    """Set the most that a batch's calls may cost; None lifts it. Raises NotFound."""
    found = session.execute(update(Batch).where(Batch.id == batch_id).values(price_cap=price_cap).returning(Batch.id))
    if found.first() is None:
        raise NotFound("There is no such batch.")
    record_event(session, kind=EventKind.CAP_SET, account_id=by, detail={"price": price_cap, "batch_id": batch_id})


def cap_person(session: Session, *, account_id: int, price_cap_per_day: float | None, by: int | None = None) -> None:
    """Set the most that a person's calls may cost on one day (UTC); None lifts it."""
    account = session.get_one(Account, account_id)
    account.price_cap_per_day = price_cap_per_day
    detail = {"price": price_cap_per_day, "person": account.name}
    record_event(session, kind=EventKind.CAP_SET, account_id=by, detail=detail)
