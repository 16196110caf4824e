"""What methods have done: how often they ran, what they scored, what they cost; two of them side by side.

A method has one explanation of a neuron, by the rules of ``app.domain.standing``, however often it ran and however many
candidates its runs had. Of the 2023 scores those by the method's own simulator count. A whole-corpus score may be by
another one, since executing a text needs the lexical simulator: those by the simulator with most neurons count.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import ARRAY, Double, Subquery, func, literal, select
from sqlalchemy.orm import Session

from app.domain.means import mean_with_interval
from app.domain.methods import simulator_name
from app.domain.plots import SCORES, Cell, Grid
from app.domain.scores import Estimate
from app.domain.work import WorkStatus
from app.errors import NotFound
from app.models import Batch, CallCount, Method, MethodCount, MethodStanding, Neuron, RunCount, Subject
from app.queries.runs.counts import status_sums

SHOWN_PAIRS = 50
EDGES = literal(list(SCORES.edges), ARRAY(Double))
"""Where the bins of a score begin, as ``width_bucket`` takes them."""


@dataclass(frozen=True, slots=True)
class MethodName:
    """A method as a choice."""

    id: int
    name: str
    version: int


@dataclass(frozen=True, slots=True)
class ScoreFigures:
    """The scores of a method's neurons, of one kind by one simulator, one score for each neuron."""

    is_whole_corpus: bool
    """Whether they speak of the whole corpus; else they are 2023 scores."""
    simulator: str | None
    n: int
    """Neurons with a defined score."""
    mean: Estimate
    margin: float | None
    """Mean of the scores less what the neuron's token table reaches on the same tokens; None without a table."""
    share_above_table: float | None
    """Share of those neurons whose score is higher than that of the table."""


@dataclass(frozen=True, slots=True)
class MethodFigures:
    """One version of a method with its use."""

    id: int
    name: str
    version: int
    label: str
    explainer: str
    simulator: str
    simulator_name: str
    """With its calibration, as scores name it."""
    scorers: tuple[str, ...]
    provider: str | None
    parameters: dict[str, Any]
    created_at: datetime
    n_runs: int
    """Runs that succeeded."""
    n_failed: int
    n_neurons: int
    """Neurons that it has explained."""
    whole_corpus: ScoreFigures
    score_2023: ScoreFigures
    seconds_per_neuron: float | None
    """Mean time of a run that succeeded, from its start to its end."""
    price_per_neuron: float | None
    """What all calls of its runs have cost, those of runs that failed too, by the number of runs that succeeded.

    None for a method that has called no language model, or where no run has succeeded.
    """

    @property
    def headline(self) -> ScoreFigures:
        """The kind of score that speaks for the method, as for one explanation."""
        return self.whole_corpus if self.whole_corpus.n else self.score_2023


@dataclass(frozen=True, slots=True)
class Pair:
    """A neuron that two methods have explained, with a score of each."""

    subject: str
    layer: int
    index: int
    first: float
    second: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two methods on the neurons that both have explained; ``difference`` is second minus first."""

    is_whole_corpus: bool
    """The kind of all scores here: whole-corpus scores where any neuron has them of both methods, else 2023 scores."""
    n: int
    n_second_better: int
    difference: Estimate
    pairs: tuple[Pair, ...]
    """Those furthest apart, of all or of one cell of the grid."""
    grid: Grid
    """All of them, by the bins of both scores."""


def method_figures(session: Session, *, method_id: int | None = None) -> list[MethodFigures]:
    """Every version of every method, or one, with its use. Four queries. Raises NotFound for an unknown one."""
    rows = session.scalars(
        _one(select(Method), Method.id, method_id).order_by(Method.name, Method.version.desc())
    ).all()
    if method_id is not None and not rows:
        raise NotFound("There is no such method.")
    runs, neurons, prices = _runs(session, method_id), _neurons(session, method_id), _prices(session, method_id)
    return [_figures(row, runs.get(row.id), neurons.get(row.id, {}), prices.get(row.id)) for row in rows]


def compare_methods(
    session: Session, *, first_id: int, second_id: int, cell: tuple[int, int] | None = None, shown: int = SHOWN_PAIRS
) -> Comparison:
    """Paired scores of two methods over all subjects, all of one kind; with ``cell``, the pairs of that cell.

    ``cell`` is one of the grid. At most nine queries. Raises NotFound.
    """
    methods = [_method(session, method_id) for method_id in (first_id, second_id)]
    found = _compared(session, methods, True, cell, shown)
    return found if found.n else _compared(session, methods, False, cell, shown)


def _method(session: Session, method_id: int) -> Method:
    method = session.get(Method, method_id)
    if method is None:
        raise NotFound("There is no such method.")
    return method


def _compared(
    session: Session, methods: Sequence[Method], is_whole_corpus: bool, cell: tuple[int, int] | None, shown: int
) -> Comparison:
    first, second = (_scored(method, is_whole_corpus) for method in methods)
    both = first.join(second, second.c.neuron_id == first.c.neuron_id)
    gap = second.c.value - first.c.value
    counted = select(func.count(), func.avg(gap), func.stddev_samp(gap), func.count().filter(gap > 0))
    n, mean, deviation, n_better = session.execute(counted.select_from(both)).one()
    x, y = (func.width_bucket(each.c.value, EDGES) for each in (first, second))
    cells = session.execute(select(x, y, func.count()).select_from(both).group_by(x, y).order_by(x, y))
    statement = (
        select(Subject.slug, Neuron.layer, Neuron.index, first.c.value, second.c.value)
        .select_from(both.join(Neuron, Neuron.id == first.c.neuron_id).join(Subject, Subject.id == Neuron.subject_id))
        .order_by(func.abs(gap).desc(), Neuron.id)
        .limit(shown)
    )
    if cell is not None:
        statement = statement.where(x == cell[0], y == cell[1])
    return Comparison(
        is_whole_corpus,
        n,
        n_better,
        mean_with_interval(n, mean, deviation),
        tuple(Pair(*row) for row in session.execute(statement)),
        _grid(methods, n, [Cell(row[0], row[1], row[2]) for row in cells]),
    )


def _grid(methods: Sequence[Method], n: int, cells: Sequence[Cell]) -> Grid:
    x, y = (replace(SCORES, label=f"{each.name} v{each.version}") for each in methods)
    return Grid(x, y, n, tuple(cells), None)


def explaining_methods(session: Session) -> tuple[MethodName, ...]:
    """Methods that have explained neurons, by name, the newest version first. One query."""
    used = select(MethodCount.method_id).group_by(MethodCount.method_id).having(func.sum(MethodCount.scored) > 0)
    rows = session.scalars(select(Method).where(Method.id.in_(used)).order_by(Method.name, Method.version.desc()))
    return tuple(MethodName(row.id, row.name, row.version) for row in rows)


def _one(statement: Any, column: Any, method_id: int | None) -> Any:
    return statement if method_id is None else statement.where(column == method_id)


def _runs(session: Session, method_id: int | None) -> dict[int, Any]:
    """By method: the number of runs by their end, and how long those took that succeeded."""
    sums = status_sums()
    statement = (
        select(
            Batch.method_id,
            sums[WorkStatus.SUCCEEDED].label("n_runs"),
            (sums[WorkStatus.FAILED] + sums[WorkStatus.QUARANTINED]).label("n_failed"),
            func.sum(RunCount.seconds).label("seconds"),
        )
        .join(RunCount, RunCount.batch_id == Batch.id)
        .where(Batch.explanation_id.is_(None))  # a run that scores a person's text does not measure the explainer
        .group_by(Batch.method_id)
    )
    return {row.method_id: row for row in session.execute(_one(statement, Batch.method_id, method_id))}


def _prices(session: Session, method_id: int | None) -> dict[int, float]:
    """By method: what the calls of its explaining runs have cost together."""
    statement = (
        select(CallCount.method_id, func.sum(CallCount.price))
        .where(CallCount.method_id.is_not(None), CallCount.is_scoring.is_(False))
        .group_by(CallCount.method_id)
    )
    return dict(session.execute(_one(statement, CallCount.method_id, method_id)).all())


@dataclass(frozen=True, slots=True)
class _Neurons:
    """The neurons that a method has explained, with their scores of one kind by one simulator."""

    n: int = 0
    n_scored: int = 0
    total: float = 0.0
    squares: float = 0.0
    n_compared: int = 0
    n_above: int = 0
    margin: float = 0.0

    @property
    def score(self) -> Estimate:
        """Mean over the scored neurons."""
        if self.n_scored == 0:
            return mean_with_interval(0, None, None)
        mean = self.total / self.n_scored
        if self.n_scored == 1:
            return mean_with_interval(1, mean, None)
        variance = max(0.0, self.squares - self.n_scored * mean * mean) / (self.n_scored - 1)
        return mean_with_interval(self.n_scored, mean, math.sqrt(variance))


_Groups: TypeAlias = Mapping[tuple[bool, str | None], _Neurons]
"""By whether the scores speak of the whole corpus, and by simulator."""


def _neurons(session: Session, method_id: int | None) -> dict[int, dict[tuple[bool, str | None], _Neurons]]:
    """The neurons that each method has explained, by method, kind of score and simulator."""
    groups = (MethodCount.method_id, MethodCount.is_whole_corpus, MethodCount.simulator)
    sums = [func.sum(MethodCount.__table__.c[name]) for name in MethodCount.SUMS]
    statement = select(*groups, *sums).group_by(*groups)
    found: dict[int, dict[tuple[bool, str | None], _Neurons]] = {}
    for method, kind, simulator, *numbers in session.execute(_one(statement, MethodCount.method_id, method_id)):
        found.setdefault(method, {})[kind, simulator] = _Neurons(*numbers)
    return found


def _scored(method: Method, is_whole_corpus: bool) -> Subquery:
    """The neurons that a method has explained, with a score of one kind; 2023 scores are by its own simulator."""
    found = select(MethodStanding.neuron_id, MethodStanding.score.label("value")).where(
        MethodStanding.method_id == method.id,
        MethodStanding.is_whole_corpus.is_(is_whole_corpus),
        MethodStanding.score.is_not(None),
    )
    if not is_whole_corpus:
        found = found.where(MethodStanding.simulator == simulator_name(method.simulator, method.parameters))
    return found.subquery()


def _score_figures(is_whole_corpus: bool, simulator: str | None, own: _Neurons) -> ScoreFigures:
    return ScoreFigures(
        is_whole_corpus=is_whole_corpus,
        simulator=simulator,
        n=own.n_scored,
        mean=own.score,
        margin=own.margin / own.n_compared if own.n_compared else None,
        share_above_table=own.n_above / own.n_compared if own.n_compared else None,
    )


def _whole_corpus(neurons: _Groups) -> ScoreFigures:
    """By the simulator with most neurons; of two with as many, by the first one's name."""
    found = {simulator: own for (kind, simulator), own in neurons.items() if kind and own.n_scored}
    simulator = max(sorted(found, key=str), key=lambda name: found[name].n_scored, default=None)
    return _score_figures(True, simulator, found.get(simulator, _Neurons()))


def _figures(method: Method, runs: Any | None, neurons: _Groups, price: float | None) -> MethodFigures:
    simulator = simulator_name(method.simulator, method.parameters)
    own = neurons.get((False, simulator), _Neurons())
    n_runs = 0 if runs is None else runs.n_runs
    return MethodFigures(
        id=method.id,
        name=method.name,
        version=method.version,
        label=method.label,
        explainer=method.explainer,
        simulator=method.simulator,
        simulator_name=simulator,
        scorers=tuple(method.scorers),
        provider=method.provider,
        parameters=method.parameters,
        created_at=method.created_at,
        n_runs=n_runs,
        n_failed=0 if runs is None else runs.n_failed,
        n_neurons=sum(each.n for (is_whole_corpus, _), each in neurons.items() if not is_whole_corpus),
        whole_corpus=_whole_corpus(neurons),
        score_2023=_score_figures(False, simulator, own),
        seconds_per_neuron=float(runs.seconds) / n_runs if runs is not None and n_runs else None,
        price_per_neuron=price / n_runs if price is not None and n_runs else None,
    )
