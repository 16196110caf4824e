"""The changes made by runs, by the rules of ``app.domain.changes``; stored, so that lists can be sorted by them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Connection, any_, bindparam, func, literal_column, select
from sqlalchemy import text as sql
from sqlalchemy.orm import Session, aliased

from app.domain.changes import Change, ScoredText, compared
from app.domain.standing import FIRST_CANDIDATE
from app.domain.work import WorkStatus
from app.models import Explanation, Run, RunChange
from app.queries.common.prepared import PreparedSelect


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A successful run, with the neuron's explanation before it and the explanation that it made."""

    id: int
    batch_id: int
    neuron_id: int
    before_id: int | None
    explanation_id: int | None
    is_copy: bool


_made = aliased(Explanation)
ENDED_RUNS = PreparedSelect(
    EndedRun,
    select(
        Run.id,
        Run.batch_id,
        Run.neuron_id,
        Run.before_explanation_id.label("before_id"),
        func.coalesce(Run.explanation_id, _made.id, RunChange.explanation_id).label("explanation_id"),
        func.coalesce(RunChange.is_copy, literal_column("false")).label("is_copy"),
    )
    .select_from(Run)
    .outerjoin(_made, (_made.run_id == Run.id) & (_made.rank == literal_column(str(FIRST_CANDIDATE))))
    .outerjoin(RunChange, RunChange.run_id == Run.id)
    .where(
        Run.neuron_id == any_(bindparam("neuron_ids", type_=ARRAY(BigInteger))),
        Run.status == literal_column(repr(str(WorkStatus.SUCCEEDED))),
    ),
)
"""The successful runs of some neurons."""

_STORE = sql("""
    INSERT INTO run_change (run_id, batch_id, explanation_id, is_copy, change, scorer, before, after, difference,
        is_current)
    SELECT * FROM unnest(
        CAST(:run_id AS bigint[]), CAST(:batch_id AS bigint[]), CAST(:explanation_id AS bigint[]),
        CAST(:is_copy AS boolean[]), CAST(:change AS text[]), CAST(:scorer AS text[]),
        CAST(:before AS double precision[]), CAST(:after AS double precision[]),
        CAST(:difference AS double precision[]), CAST(:is_current AS boolean[])
    )
    ON CONFLICT (run_id) DO UPDATE SET change = excluded.change, scorer = excluded.scorer, before = excluded.before,
        after = excluded.after, difference = excluded.difference, is_current = excluded.is_current
    WHERE (run_change.change, run_change.scorer, run_change.before, run_change.after, run_change.is_current)
        IS DISTINCT FROM (excluded.change, excluded.scorer, excluded.before, excluded.after, excluded.is_current)
""")


def store_changes(
    connection: Connection,
    runs: Sequence[EndedRun],
    texts: Mapping[int, ScoredText],
    current: Mapping[int, int | None],
) -> None:
    """Store each run's change. ``texts`` maps ids to explanations, ``current`` neurons to the explanation shown first.

    The neurons must be locked, so that no other transaction changes the rows of their runs.
    """
    rows = [_row(run, texts, current) for run in runs if run.explanation_id in texts]
    if rows:
        connection.execute(_STORE, {name: [row[name] for row in rows] for name in rows[0]})


def _row(run: EndedRun, texts: Mapping[int, ScoredText], current: Mapping[int, int | None]) -> dict[str, Any]:
    before = None if run.before_id is None else texts.get(run.before_id)
    after = texts[run.explanation_id or 0]
    # A repeated text is the same as before, whether or not it represents its neuron.
    found = compared(after if run.is_copy else before, after)
    return {
        "run_id": run.id,
        "batch_id": run.batch_id,
        "explanation_id": run.explanation_id,
        "is_copy": run.is_copy,
        "change": str(found.change),
        "scorer": found.scorer,
        "before": found.before,
        "after": found.after,
        "difference": found.difference,
        "is_current": current[run.neuron_id] == run.explanation_id,
    }


def note_copy(session: Session, *, run_id: int, batch_id: int, explanation_id: int) -> None:
    """Record that a run gave an existing explanation's text again. ``store_changes`` fills in the change."""
    session.add(
        RunChange(
            run_id=run_id,
            batch_id=batch_id,
            explanation_id=explanation_id,
            is_copy=True,
            change=Change.SAME,
            is_current=False,
        )
    )
    session.flush()  # the change is derived from this row
