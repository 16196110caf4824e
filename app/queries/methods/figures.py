"""What methods have done: how often they ran, what they scored, what they cost; two of them side by side.

A method speaks for a neuron once, by the rules of ``app.domain.standing``, however often it ran on it and however many
candidates its runs had. Only scores by the method's own simulator count.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Subquery, func, select
from sqlalchemy.orm import Session

from app.domain.means import mean_with_interval
from app.domain.methods import simulator_name
from app.domain.scores import Estimate
from app.errors import NotFound
from app.models import LlmCall, Method, MethodStanding, Neuron, Run, Subject

SHOWN_PAIRS = 2000


@dataclass(frozen=True, slots=True)
class MethodFigures:
    """One version of a method with its use. Scores are 2023 scores, never those of several scorers."""

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
    n_scored: int
    """Those of them with a score by the method's own simulator."""
    score: Estimate
    """Mean over ``n_scored`` neurons, one score each."""
    seconds_per_neuron: float | None
    """Mean time of a run that succeeded, from its start to its end."""
    price_per_neuron: float | None
    """None for a method that asks no language model."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A neuron that two methods have explained, with both 2023 scores."""

    subject: str
    layer: int
    index: int
    first: float
    second: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two methods on the neurons that both have explained; ``difference`` is second minus first."""

    n: int
    n_second_better: int
    difference: Estimate
    pairs: tuple[Pair, ...]
    """All of them, or as many as a picture holds."""


def method_figures(session: Session, *, method_id: int | None = None) -> list[MethodFigures]:
    """Every version of every method, or one, with its use. Five queries. Raises NotFound for an unknown one."""
    rows = session.scalars(
        _one(select(Method), Method.id, method_id).order_by(Method.name, Method.version.desc())
    ).all()
    if method_id is not None and not rows:
        raise NotFound("There is no such method.")
    runs = {r.method_id: r for r in session.execute(_one(_RUNS, Run.method_id, method_id))}
    neurons = _neurons(session, method_id)
    prices = {r.method_id: r for r in session.execute(_one(_PRICES, Run.method_id, method_id))}
    return [_figures(row, runs.get(row.id), neurons.get(row.id, {}), prices.get(row.id)) for row in rows]


def compare_methods(session: Session, *, first_id: int, second_id: int, shown: int = SHOWN_PAIRS) -> Comparison:
    """Paired 2023 scores of two methods over all subjects. Four queries. Raises NotFound."""
    first, second = _scored(session, first_id), _scored(session, second_id)
    both = first.join(second, second.c.neuron_id == first.c.neuron_id)
    gap = second.c.value - first.c.value
    counted = select(func.count(), func.avg(gap), func.stddev_samp(gap), func.count().filter(gap > 0))
    n, mean, deviation, n_better = session.execute(counted.select_from(both)).one()
    rows = session.execute(
        select(Subject.slug, Neuron.layer, Neuron.index, first.c.value, second.c.value)
        .select_from(both.join(Neuron, Neuron.id == first.c.neuron_id).join(Subject, Subject.id == Neuron.subject_id))
        .order_by(func.abs(gap).desc(), Neuron.id)
        .limit(shown)
    )
    return Comparison(n, n_better, mean_with_interval(n, mean, deviation), tuple(Pair(*row) for row in rows))


_RUNS = (
    select(
        Run.method_id,
        func.count().filter(Run.status == "succeeded").label("n_runs"),
        func.count().filter(Run.status.in_(("failed", "quarantined"))).label("n_failed"),
        func.avg(func.extract("epoch", Run.finished_at - Run.started_at))
        .filter(Run.status == "succeeded")
        .label("seconds"),
    )
    .where(Run.explanation_id.is_(None))  # a run that scores a person's text says nothing of the explainer
    .group_by(Run.method_id)
    .select_from(Run)
)
_NEURONS = select(
    MethodStanding.method_id,
    MethodStanding.simulator,
    func.count().label("n_neurons"),
    func.count(MethodStanding.score).label("n"),
    func.avg(MethodStanding.score).label("mean"),
    func.stddev_samp(MethodStanding.score).label("deviation"),
).group_by(MethodStanding.method_id, MethodStanding.simulator)
_PRICES = (
    select(Run.method_id, (func.sum(LlmCall.price) / func.count(LlmCall.run_id.distinct())).label("price"))
    .join(LlmCall, LlmCall.run_id == Run.id)
    .where(Run.explanation_id.is_(None))
    .group_by(Run.method_id)
)


def _one(statement: Any, column: Any, method_id: int | None) -> Any:
    return statement if method_id is None else statement.where(column == method_id)


def _neurons(session: Session, method_id: int | None) -> dict[int, dict[str | None, Any]]:
    """By method and simulator: how many neurons it speaks for, how many with a score, mean and standard deviation."""
    rows = session.execute(_one(_NEURONS, MethodStanding.method_id, method_id))
    found: dict[int, dict[str | None, Any]] = {}
    for row in rows:
        found.setdefault(row.method_id, {})[row.simulator] = row
    return found


def _scored(session: Session, method_id: int) -> Subquery:
    """The neurons that a method speaks for, with its 2023 score by its own simulator. Raises NotFound."""
    method = session.get(Method, method_id)
    if method is None:
        raise NotFound("There is no such method.")
    return (
        select(MethodStanding.neuron_id, MethodStanding.score.label("value"))
        .where(
            MethodStanding.method_id == method_id,
            MethodStanding.simulator == simulator_name(method.simulator, method.parameters),
            MethodStanding.score.is_not(None),
        )
        .subquery()
    )


def _figures(method: Method, runs: Any, neurons: dict[str | None, Any], prices: Any) -> MethodFigures:
    simulator = simulator_name(method.simulator, method.parameters)
    own = neurons.get(simulator)
    n_scored = own.n if own is not None else 0
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
        n_runs=runs.n_runs if runs is not None else 0,
        n_failed=runs.n_failed if runs is not None else 0,
        n_neurons=sum(row.n_neurons for row in neurons.values()),
        n_scored=n_scored,
        score=mean_with_interval(n_scored, own.mean, own.deviation)
        if own is not None
        else mean_with_interval(0, None, None),
        seconds_per_neuron=float(runs.seconds) if runs is not None and runs.seconds is not None else None,
        price_per_neuron=float(prices.price) if prices is not None and prices.price is not None else None,
    )
