"""The changes made by a batch's runs: counted from stored sums, and listed by the score's difference."""

import math
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Double,
    any_,
    bindparam,
    func,
    literal,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.orm import Session
from sqlalchemy.sql.selectable import LateralFromClause

from app.domain.bounds import BIGGEST_ID
from app.domain.changes import Change
from app.models import Batch, ChangeCount, RunChange
from app.queries.common.paging import Page, damaged_cursor
from app.queries.common.prepared import PreparedSelect, labelled


@dataclass(frozen=True, slots=True)
class ChangeCounts:
    """The number of a batch's runs by how they changed their neuron's score."""

    counts: dict[Change, int]
    n_current: int = 0
    """Runs whose explanation is new and now shown first."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """The change made by a successful run. See ``app.models.RunChange``."""

    change: Change
    scorer: str | None
    before: float | None
    after: float | None
    difference: float | None
    is_current: bool
    is_copy: bool


def counted_changes() -> LateralFromClause:
    """The number of runs of the enclosing statement's batch by change, from stored sums, and ``current``."""
    table = ChangeCount.__table__.c
    sums = [func.coalesce(func.sum(table[name]), literal_column("0")).label(name) for name in (*Change, "current")]
    return select(*sums).where(ChangeCount.batch_id == Batch.id).correlate(Batch).lateral("counted_changes")


@dataclass(frozen=True, slots=True)
class OutcomeOfRun:
    """What a run has changed, with its id."""

    run_id: int
    outcome: RunOutcome


_OUTCOME = {field.name: getattr(RunChange, field.name) for field in fields(RunOutcome)}
OUTCOMES = PreparedSelect(
    OutcomeOfRun,
    select(RunChange.run_id, *labelled("outcome", _OUTCOME)).where(
        RunChange.run_id == any_(bindparam("run_ids", type_=ARRAY(BigInteger)))
    ),
)
"""The changes of these runs; runs without a text are absent."""


@dataclass(frozen=True, slots=True)
class ChangeOrder:
    """The filter and order of a list of changed runs. ``change`` is None for all runs with a difference."""

    batch_id: int
    change: Change | None = None
    best_first: bool = True

    @property
    def has_difference(self) -> bool:
        """Whether the listed runs have a difference to sort by; other runs are listed newest first."""
        return self.change in (None, Change.BETTER, Change.SAME, Change.WORSE)


def changed_runs(
    session: Session, order: ChangeOrder, *, size: int, after: str | None = None, before: str | None = None
) -> Page[int]:
    """The ids of ``size`` runs in an order. One query, an index scan. Raises Invalid for a malformed cursor."""
    backwards = before is not None
    cursor = before if backwards else after
    descending = order.best_first != backwards
    by = RunChange.__table__.c
    columns: list[ColumnElement[Any]] = [by.difference, by.run_id] if order.has_difference else [by.run_id]
    found = select(RunChange.run_id, RunChange.difference).where(*_listed(order))
    if cursor is not None:
        here: ColumnElement[Any] = tuple_(*columns)
        start = _parsed(cursor)[-len(columns) :]
        found = found.where(here < tuple_(*start) if descending else here > tuple_(*start))
    found = found.order_by(*(c.desc() if descending else c.asc() for c in columns)).limit(size + 1)
    rows = session.execute(found).all()
    shown = rows[:size][::-1] if backwards else rows[:size]
    if not shown:
        return Page(())
    more, first, last = len(rows) > size, _cursor(shown[0]), _cursor(shown[-1])
    ids = tuple(row.run_id for row in shown)
    if backwards:
        return Page(ids, previous=first if more else None, next=last)
    return Page(ids, previous=first if cursor is not None else None, next=last if more else None)


def _listed(order: ChangeOrder) -> list[ColumnElement[bool]]:
    conditions = [RunChange.batch_id == order.batch_id]
    if order.change is not None:
        conditions.append(RunChange.change == literal_column(repr(str(order.change))))
    if order.has_difference:
        conditions.append(RunChange.difference.is_not(None))
    return conditions


def _cursor(row: Any) -> str:
    return f"{0.0 if row.difference is None else row.difference}@{row.run_id}"


def _parsed(cursor: str) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    difference, _, run_id = cursor.partition("@")
    try:
        value, number = float(difference), int(run_id)
    except ValueError as error:
        raise damaged_cursor() from error
    if not 0 < number <= BIGGEST_ID or not math.isfinite(value):
        raise damaged_cursor()
    return literal(value, Double), literal(number, BigInteger)
