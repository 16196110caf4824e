"""Storage of doubts, which are derived: applying the rules again replaces the stored ones."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from app.db import Sessions, transaction
from app.domain.doubt_rules import doubts
from app.errors import NotFound
from app.models import Explanation, Neuron, Subject
from app.queries.common.prepared import PreparedWrite, one_round_trip
from app.queries.doubts.facts import doubted_explanations

AT_ONCE = 200
"""Neurons in one transaction, so that other transactions never wait long for their locks."""

_ARRAYS = """unnest(
    CAST(:explanation_ids AS bigint[]), CAST(:doubts AS text[]), CAST(:figures AS double precision[]),
    CAST(:lows AS double precision[]), CAST(:highs AS double precision[]), CAST(:subject_ids AS bigint[]),
    CAST(:neuron_ids AS bigint[]), CAST(:current AS boolean[])
) AS found (explanation_id, doubt, figure, low, high, subject_id, neuron_id, is_current)"""
_GONE = PreparedWrite(
    sql("""
    DELETE FROM explanation_doubt AS kept WHERE kept.neuron_id = ANY(CAST(:looked_at AS bigint[])) AND NOT EXISTS (
        SELECT FROM unnest(CAST(:explanation_ids AS bigint[]), CAST(:doubts AS text[])) AS found (explanation_id, doubt)
        WHERE found.explanation_id = kept.explanation_id AND found.doubt = kept.doubt
    )
""")
)
_KEPT = PreparedWrite(
    sql(f"""
    INSERT INTO explanation_doubt (explanation_id, doubt, figure, low, high, subject_id, neuron_id, is_current)
    SELECT * FROM {_ARRAYS} ORDER BY explanation_id, doubt
    ON CONFLICT (explanation_id, doubt) DO UPDATE SET figure = excluded.figure, low = excluded.low,
        high = excluded.high, is_current = excluded.is_current
    WHERE (explanation_doubt.figure, explanation_doubt.low, explanation_doubt.high, explanation_doubt.is_current)
        IS DISTINCT FROM (excluded.figure, excluded.low, excluded.high, excluded.is_current)
""")  # noqa: S608 - a constant of this file
)

_COUNTED = PreparedWrite(
    sql("""
    UPDATE neuron SET n_doubts = found.n
    FROM unnest(CAST(:neuron_ids AS bigint[]), CAST(:numbers AS smallint[])) AS found (neuron_id, n)
    WHERE neuron.id = found.neuron_id AND neuron.n_doubts <> found.n
""")
)


def refresh_doubts(session: Session, *, neuron_ids: Sequence[int]) -> None:
    """Apply the rules again to every explanation of some neurons of one subject.

    Must be called after explanations, scores or checks of these neurons were stored, in the same transaction and with
    the neurons locked. Doubts about other neurons that share a text with these are only updated by ``refresh_subject``.
    """
    rows: list[dict[str, Any]] = [
        {
            "explanation_ids": explanation.id,
            "doubts": str(raised.doubt),
            "figures": float(raised.figure),
            "lows": None if raised.interval is None else raised.interval[0],
            "highs": None if raised.interval is None else raised.interval[1],
            "subject_ids": explanation.neuron.subject_id,
            "neuron_ids": explanation.neuron.id,
            "current": explanation.is_current,
        }
        for explanation in doubted_explanations(session, neuron_ids=neuron_ids)
        for raised in doubts(explanation.facts)
    ]
    arrays = {name: [row[name] for row in rows] for name in _COLUMNS}
    gone = {name: arrays[name] for name in ("explanation_ids", "doubts")}
    current = Counter(row["neuron_ids"] for row in rows if row["current"])
    numbers = [current[neuron_id] for neuron_id in neuron_ids]
    with one_round_trip(session) as trip:
        trip.change(_GONE, {"looked_at": list(neuron_ids), **gone})
        if rows:
            trip.change(_KEPT, arrays)
        trip.change(_COUNTED, {"neuron_ids": list(neuron_ids), "numbers": numbers})


_COLUMNS = ("explanation_ids", "doubts", "figures", "lows", "highs", "subject_ids", "neuron_ids", "current")


def refresh_subject(sessions: Sessions, *, slug: str) -> int:
    """Apply the rules again to all explanations of a subject, or of a null twin and the subject that it controls.

    Runs in transactions of ``AT_ONCE`` neurons each; returns the number of neurons. May be repeated. Raises NotFound.
    """
    with transaction(sessions) as session:
        subject_ids = _subject_and_original(session, slug)
    n = 0
    for subject_id in subject_ids:
        last = 0
        while True:
            with transaction(sessions) as session:
                neuron_ids = _next_explained(session, subject_id, last)
                if neuron_ids:
                    refresh_doubts(session, neuron_ids=neuron_ids)
            if not neuron_ids:
                break
            last, n = neuron_ids[-1], n + len(neuron_ids)
    return n


def _subject_and_original(session: Session, slug: str) -> list[int]:
    subject = session.scalar(select(Subject).where(Subject.slug == slug))
    if subject is None:
        raise NotFound(f"There is no subject {slug!r}.")
    return [i for i in (subject.id, subject.null_twin_of_id) if i is not None]


def _next_explained(session: Session, subject_id: int, after: int) -> list[int]:
    """The next explained neurons by id, locked like every other write to them does."""
    statement = (
        select(Neuron.id)
        .where(Neuron.subject_id == subject_id, Neuron.id > after, exists().where(Explanation.neuron_id == Neuron.id))
        .order_by(Neuron.id)
        .limit(AT_ONCE)
        .with_for_update(key_share=True)
    )
    return list(session.scalars(statement))
