"""Doubts as pages show them: about some explanations, and counted for a subject."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import ARRAY, BigInteger, any_, bindparam, func, select

from app.domain.doubt_rules import RaisedDoubt
from app.domain.doubts import Doubt
from app.models import DoubtedCount, ExplanationDoubt
from app.queries.common.prepared import PreparedSelect


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
"""The doubts about all explanations of a neuron."""
OF_EXPLANATIONS = PreparedSelect(
    DoubtRow,
    select(*_COLUMNS).where(
        ExplanationDoubt.explanation_id == any_(bindparam("explanation_ids", type_=ARRAY(BigInteger)))
    ),
)


def doubts_by_explanation(rows: Iterable[DoubtRow]) -> Mapping[int, tuple[RaisedDoubt, ...]]:
    """The doubts about each explanation, in the order of ``Doubt``; explanations without doubts are absent."""
    found = defaultdict[int, dict[Doubt, RaisedDoubt]](dict)
    for row in rows:
        interval = None if row.low is None or row.high is None else (row.low, row.high)
        found[row.explanation_id][row.doubt] = RaisedDoubt(row.doubt, row.figure, interval)
    return {key: tuple(own[doubt] for doubt in Doubt if doubt in own) for key, own in found.items()}


@dataclass(frozen=True, slots=True)
class DoubtCount:
    """The number of neurons of a subject with a doubt about the explanation that is shown first."""

    doubt: Doubt
    number: int


@dataclass(frozen=True, slots=True)
class DoubtsOfSubject:
    """How many neurons of a subject have a doubt."""

    subject_id: int
    doubt: Doubt
    number: int


_GROUPS, _TOTAL = (DoubtedCount.subject_id, DoubtedCount.doubt), func.sum(DoubtedCount.neurons)
DOUBT_SUMS = PreparedSelect(
    DoubtsOfSubject, select(*_GROUPS, _TOTAL.label("number")).group_by(*_GROUPS).having(_TOTAL > 0)
)
"""Counts of doubts of every subject, from stored sums."""


def doubts_by_subject(rows: Iterable[DoubtsOfSubject]) -> Mapping[int, tuple[DoubtCount, ...]]:
    """The doubts of ``DOUBT_SUMS`` by the subject's id, the most frequent first."""
    found = defaultdict[int, list[DoubtCount]](list)
    for row in rows:
        found[row.subject_id].append(DoubtCount(row.doubt, row.number))
    order = {doubt: index for index, doubt in enumerate(Doubt)}
    return {key: tuple(sorted(own, key=lambda c: (-c.number, order[c.doubt]))) for key, own in found.items()}
