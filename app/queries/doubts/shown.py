"""Doubts as pages show them: about some explanations, and counted for a subject."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import ARRAY, BigInteger, any_, bindparam, func, select
from sqlalchemy.orm import Session

from app.domain.doubts import Doubt, RaisedDoubt
from app.models import DoubtedCount, ExplanationDoubt
from app.queries.common.prepared import PreparedSelect, rows_of


@dataclass(frozen=True, slots=True)
class DoubtRow:
    """A stored doubt."""

    explanation_id: int
    doubt: Doubt
    figure: float
    low: float | None
    high: float | None


_COLUMNS = (
    ExplanationDoubt.explanation_id,
    ExplanationDoubt.doubt,
    ExplanationDoubt.figure,
    ExplanationDoubt.low,
    ExplanationDoubt.high,
)
DOUBTS = PreparedSelect(DoubtRow, select(*_COLUMNS).where(ExplanationDoubt.neuron_id == bindparam("neuron_id")))
"""Of all explanations of a neuron."""
OF_EXPLANATIONS = PreparedSelect(
    DoubtRow,
    select(*_COLUMNS).where(
        ExplanationDoubt.explanation_id == any_(bindparam("explanation_ids", type_=ARRAY(BigInteger)))
    ),
)


def doubts_about(session: Session, *, explanation_ids: Iterable[int]) -> Mapping[int, tuple[RaisedDoubt, ...]]:
    """The doubts about each explanation, in the order of ``Doubt``; nothing for one without doubts. One query."""
    wanted = sorted(set(explanation_ids))
    return doubts_by_explanation(rows_of(session, OF_EXPLANATIONS.given(explanation_ids=wanted))) if wanted else {}


def doubts_by_explanation(rows: Iterable[DoubtRow]) -> Mapping[int, tuple[RaisedDoubt, ...]]:
    """The doubts about each explanation, in the order of ``Doubt``; nothing for one without doubts."""
    found = defaultdict[int, dict[Doubt, RaisedDoubt]](dict)
    for row in rows:
        interval = None if row.low is None or row.high is None else (row.low, row.high)
        found[row.explanation_id][row.doubt] = RaisedDoubt(row.doubt, row.figure, interval)
    return {key: tuple(own[doubt] for doubt in Doubt if doubt in own) for key, own in found.items()}


@dataclass(frozen=True, slots=True)
class DoubtCount:
    """How many neurons of a subject have a doubt about the explanation that is shown first."""

    doubt: Doubt
    number: int


def doubt_counts(session: Session) -> Mapping[int, tuple[DoubtCount, ...]]:
    """The doubts that neurons have, by the subject's id, the most frequent first. One query of kept sums."""
    groups, total = (DoubtedCount.subject_id, DoubtedCount.doubt), func.sum(DoubtedCount.neurons)
    found = defaultdict[int, list[DoubtCount]](list)
    for subject_id, doubt, n in session.execute(select(*groups, total).group_by(*groups).having(total > 0)):
        found[subject_id].append(DoubtCount(Doubt(doubt), n))
    order = {doubt: place for place, doubt in enumerate(Doubt)}
    return {key: tuple(sorted(own, key=lambda c: (-c.number, order[c.doubt]))) for key, own in found.items()}
