"""Doubts as pages show them: about some explanations, in verdict lines, and counted for a subject."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import ARRAY, BigInteger, Text, and_, any_, bindparam, cast, func, literal, select, true, values
from sqlalchemy import column as column_of
from sqlalchemy.orm import Session, aliased

from app.domain.doubts import Doubt, Measure, RaisedDoubt
from app.domain.standing import MARGIN_2023
from app.domain.verdict_lines import Standing, VerdictLine, verdict_line
from app.models import ExplanationDoubt, Score, Subject
from app.queries.common.prepared import PreparedSelect, one_round_trip, rows_of

COUNT_BOUND = 10_000
"""Neurons with a doubt are counted up to here."""


@dataclass(frozen=True, slots=True)
class DoubtRow:
    """A stored doubt."""

    explanation_id: int
    doubt: Doubt
    figure: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class _Scored:
    explanation_id: int
    value: float | None
    undefined_reason: str | None
    token_table: float | None
    margin: float | None
    low: float | None
    high: float | None

    @property
    def standing(self) -> Standing:
        """As the verdict line needs it."""
        interval = None if self.low is None or self.high is None else (self.low, self.high)
        margin = None if self.margin is None else Measure(self.margin, interval)
        return Standing(
            score=self.value, token_table=self.token_table, margin=margin, undefined_reason=self.undefined_reason
        )


_COLUMNS = (
    ExplanationDoubt.explanation_id,
    ExplanationDoubt.doubt,
    ExplanationDoubt.figure,
    ExplanationDoubt.low,
    ExplanationDoubt.high,
)
DOUBTS = PreparedSelect(DoubtRow, select(*_COLUMNS).where(ExplanationDoubt.neuron_id == bindparam("neuron_id")))
"""Of all explanations of a neuron."""
_OF_EXPLANATIONS = PreparedSelect(
    DoubtRow,
    select(*_COLUMNS).where(
        ExplanationDoubt.explanation_id == any_(bindparam("explanation_ids", type_=ARRAY(BigInteger)))
    ),
)


_MARGIN = aliased(Score)
_SCORES = PreparedSelect(
    _Scored,
    select(
        Score.explanation_id,
        Score.value,
        Score.undefined_reason,
        Score.token_lookup_baseline.label("token_table"),
        _MARGIN.value.label("margin"),
        _MARGIN.interval_low.label("low"),
        _MARGIN.interval_high.label("high"),
    )
    .outerjoin(
        _MARGIN,
        and_(
            _MARGIN.explanation_id == Score.explanation_id,
            _MARGIN.scorer == literal(MARGIN_2023.scorer),
            _MARGIN.sample == Score.sample,
            _MARGIN.simulator.is_not_distinct_from(Score.simulator),
            _MARGIN.run_id.is_not_distinct_from(Score.run_id),
        ),
    )
    .where(Score.id == any_(bindparam("score_ids", type_=ARRAY(BigInteger))))
    .order_by(_MARGIN.id),
)


def verdict_lines(session: Session, *, scores: Mapping[int, int | None]) -> Mapping[int, VerdictLine]:
    """The verdict line of each explanation. ``scores`` are the ids of their 2023 scores, None for one without.

    One round trip.
    """
    if not scores:
        return {}
    with one_round_trip(session) as trip:
        doubts = trip.send(_OF_EXPLANATIONS.given(explanation_ids=sorted(scores)))
        found = trip.send(_SCORES.given(score_ids=sorted(i for i in scores.values() if i is not None)))
    raised = doubts_by_explanation(doubts.rows)
    standings = {row.explanation_id: row.standing for row in found.rows}
    return {i: verdict_line(standings.get(i), raised.get(i, ())) for i in scores}


def doubts_about(session: Session, *, explanation_ids: Iterable[int]) -> Mapping[int, tuple[RaisedDoubt, ...]]:
    """The doubts about each explanation, in the order of ``Doubt``; nothing for one without doubts. One query."""
    wanted = sorted(set(explanation_ids))
    return doubts_by_explanation(rows_of(session, _OF_EXPLANATIONS.given(explanation_ids=wanted))) if wanted else {}


def doubts_by_explanation(rows: Iterable[DoubtRow]) -> Mapping[int, tuple[RaisedDoubt, ...]]:
    """The doubts about each explanation, in the order of ``Doubt``; nothing for one without doubts."""
    found = defaultdict[int, dict[Doubt, RaisedDoubt]](dict)
    for row in rows:
        interval = None if row.low is None or row.high is None else (row.low, row.high)
        found[row.explanation_id][row.doubt] = RaisedDoubt(row.doubt, row.figure, interval)
    return {key: tuple(own[doubt] for doubt in Doubt if doubt in own) for key, own in found.items()}


@dataclass(frozen=True, slots=True)
class DoubtCount:
    """How many neurons of a subject have a doubt about the explanation that is shown first: exactly, or at least."""

    doubt: Doubt
    number: int
    exact: bool


def doubt_counts(session: Session) -> Mapping[int, tuple[DoubtCount, ...]]:
    """The doubts that neurons have, by the subject's id, the most frequent first. One query.

    Counted up to ``COUNT_BOUND`` each, from an index alone.
    """
    kinds = values(column_of("doubt", Text), name="kinds").data([(str(doubt),) for doubt in Doubt])
    some = (
        select(literal(1))
        .select_from(ExplanationDoubt)
        .where(
            ExplanationDoubt.subject_id == Subject.id,
            ExplanationDoubt.doubt == cast(kinds.c.doubt, Text),
            ExplanationDoubt.is_current,
        )
        .limit(COUNT_BOUND + 1)
        .correlate(Subject, kinds)
        .subquery()
        .lateral()
    )
    counted = select(func.count().label("n")).select_from(some).lateral()
    rows = session.execute(
        select(Subject.id, kinds.c.doubt, counted.c.n)
        .select_from(Subject)
        .join(kinds, true())
        .join(counted, true())
        .where(counted.c.n > 0)
    )
    found = defaultdict[int, list[DoubtCount]](list)
    for subject_id, doubt, n in rows:
        found[subject_id].append(DoubtCount(Doubt(doubt), min(n, COUNT_BOUND), exact=n <= COUNT_BOUND))
    order = {doubt: place for place, doubt in enumerate(Doubt)}
    return {key: tuple(sorted(own, key=lambda c: (-c.number, order[c.doubt]))) for key, own in found.items()}
