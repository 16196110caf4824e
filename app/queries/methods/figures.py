"""What methods have done: how often they ran, what they scored, what they cost.

A method has one explanation of a neuron, by the rules of ``app.domain.standing``, however often it ran and however many
candidates its runs had. Neurons of null twins are none of these: what a method reaches on a control stands with the
subject. Of the 2023 scores those by the method's own simulator count. A whole-corpus score may be by
another one, since executing a text needs the lexical simulator: those by the simulator with most neurons count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.means import mean_of_sums
from app.domain.methods import simulator_name
from app.domain.scores import Estimate
from app.domain.standing import simulator_of_most
from app.domain.work import WorkStatus
from app.errors import NotFound
from app.models import Batch, CallCount, Method, MethodCount, RunCount
from app.queries.common.prepared import PendingRows, PreparedSelect, Reads, labelled, one_statement
from app.queries.methods.definitions import STORED_METHOD, StoredMethod
from app.queries.runs.counts import status_sums
from app.queries.subjects.null_twins import of_no_null_twin


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
class _Method(StoredMethod):
    """A version of a method with the time since which it is there."""

    created_at: datetime


@dataclass(frozen=True, slots=True)
class _Runs:
    """The runs of a method by their end, and how long those took that succeeded."""

    method_id: int
    n_runs: int
    n_failed: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _Price:
    """What the calls of a method's explaining runs have cost together."""

    method_id: int
    price: float


@dataclass(frozen=True, slots=True)
class PendingFigures:
    """Every version of every method with its use, available after the round trip."""

    methods: PendingRows[_Method]
    runs: PendingRows[_Runs]
    neurons: PendingRows["_NeuronsOfMethod"]
    prices: PendingRows[_Price]

    def found(self) -> list[MethodFigures]:
        """The figures of all methods, by name, the newest version first."""
        runs = {row.method_id: row for row in self.runs.rows}
        prices = {row.method_id: row.price for row in self.prices.rows}
        neurons: dict[int, dict[tuple[bool, str | None], _Neurons]] = {}
        for row in self.neurons.rows:
            neurons.setdefault(row.method_id, {})[row.is_whole_corpus, row.simulator] = row.neurons
        return [
            _figures(row, runs.get(row.id), neurons.get(row.id, {}), prices.get(row.id)) for row in self.methods.rows
        ]


def send_figures(asked: Reads) -> PendingFigures:
    """Ask for every version of every method with its use."""
    return PendingFigures(*(asked.send(each.given()) for each in (_METHODS, _RUNS, _NEURONS, _PRICES)))


def method_figures(session: Session) -> list[MethodFigures]:
    """Every version of every method with its use, by name, the newest version first. One query."""
    with one_statement(session) as asked:
        pending = send_figures(asked)
    return pending.found()


def figures_of(found: Sequence[MethodFigures], method_id: int) -> MethodFigures:
    """The method of this id among all. Raises NotFound."""
    own = next((each for each in found if each.id == method_id), None)
    if own is None:
        raise NotFound("There is no such method.")
    return own


def explaining_methods(session: Session) -> tuple[MethodName, ...]:
    """Methods that have explained neurons, by name, the newest version first. One query."""
    used = select(MethodCount.method_id).group_by(MethodCount.method_id).having(func.sum(MethodCount.scored) > 0)
    rows = session.scalars(select(Method).where(Method.id.in_(used)).order_by(Method.name, Method.version.desc()))
    return tuple(MethodName(row.id, row.name, row.version) for row in rows)


_STATUS = status_sums()
_METHODS = PreparedSelect(
    _Method,
    select(*STORED_METHOD, Method.created_at).order_by(Method.name, Method.version.desc()),
)
_RUNS = PreparedSelect(
    _Runs,
    select(
        Batch.method_id,
        _STATUS[WorkStatus.SUCCEEDED].label("n_runs"),
        (_STATUS[WorkStatus.FAILED] + _STATUS[WorkStatus.QUARANTINED]).label("n_failed"),
        func.sum(RunCount.seconds).label("seconds"),
    )
    .join(RunCount, RunCount.batch_id == Batch.id)
    .where(Batch.explanation_id.is_(None))  # a run that scores a person's text does not measure the explainer
    .group_by(Batch.method_id),
)
_PRICES = PreparedSelect(
    _Price,
    select(CallCount.method_id, func.sum(CallCount.price).label("price"))
    .where(CallCount.method_id.is_not(None), CallCount.is_scoring.is_(False))
    .group_by(CallCount.method_id),
)


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
        return mean_of_sums(self.n_scored, self.total, self.squares)


_Groups: TypeAlias = Mapping[tuple[bool, str | None], _Neurons]
"""Groups of scores: whether they are over the whole corpus, and their simulator."""


@dataclass(frozen=True, slots=True)
class _NeuronsOfMethod:
    """The neurons that a method has explained, by kind of score and simulator."""

    method_id: int
    is_whole_corpus: bool
    simulator: str | None
    neurons: _Neurons


_GROUPS = (MethodCount.method_id, MethodCount.is_whole_corpus, MethodCount.simulator)
_SUMS = [func.sum(MethodCount.__table__.c[name]) for name in MethodCount.SUMS]
_TOTALS = {each.name: total for each, total in zip(fields(_Neurons), _SUMS, strict=True)}
_NEURONS = PreparedSelect(
    _NeuronsOfMethod,
    select(*_GROUPS, *labelled("neurons", _TOTALS)).where(of_no_null_twin(MethodCount.subject_id)).group_by(*_GROUPS),
)


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
    found = {simulator: own for (kind, simulator), own in neurons.items() if kind and own.n_scored}
    simulator = simulator_of_most({name: own.n_scored for name, own in found.items()})
    return _score_figures(True, simulator, found.get(simulator, _Neurons()))


def _figures(method: _Method, runs: _Runs | None, neurons: _Groups, price: float | None) -> MethodFigures:
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
