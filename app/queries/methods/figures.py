"""What methods have done: how often they ran, what they scored, what they cost; two of them side by side."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session, aliased

from app.domain.means import mean_with_interval
from app.domain.results import HEADLINE_SAMPLE, HEADLINE_SCORER
from app.domain.scores import Estimate
from app.errors import NotFound
from app.models import Explanation, LlmCall, Method, Neuron, Run, Score, Subject

SHOWN_PAIRS = 2000


@dataclass(frozen=True, slots=True)
class MethodFigures:
    """One version of a method with its use. Scores are headline scores, never those of several scorers."""

    id: int
    name: str
    version: int
    label: str
    explainer: str
    simulator: str
    scorers: tuple[str, ...]
    provider: str | None
    parameters: dict[str, Any]
    created_at: datetime
    n_runs: int
    n_failed: int
    n_scored: int
    score: Estimate
    seconds_per_neuron: float | None
    """Mean time of a run that succeeded, from its start to its end."""
    price_per_neuron: float | None
    """None for a method that asks no language model."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A neuron that two methods have explained, with both headline scores."""

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
    """Every version of every method, or one, with its use. Four queries. Raises NotFound for an unknown one."""
    rows = session.scalars(
        _one(select(Method), Method.id, method_id).order_by(Method.name, Method.version.desc())
    ).all()
    if method_id is not None and not rows:
        raise NotFound("There is no such method.")
    runs = {r.method_id: r for r in session.execute(_one(_RUNS, Run.method_id, method_id))}
    scores = {r.method_id: r for r in session.execute(_one(_SCORES, Explanation.method_id, method_id))}
    prices = {r.method_id: r for r in session.execute(_one(_PRICES, Run.method_id, method_id))}
    return [_figures(row, runs.get(row.id), scores.get(row.id), prices.get(row.id)) for row in rows]


def compare_methods(session: Session, *, first_id: int, second_id: int, shown: int = SHOWN_PAIRS) -> Comparison:
    """Paired headline scores of two methods over all subjects.

    A method speaks for a neuron by the preferred candidate of its newest run. Two queries.
    """
    first, second = _newest(first_id), _newest(second_id)
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
_SCORES = (
    select(
        Explanation.method_id,
        func.count(Score.value).label("n"),
        func.avg(Score.value).label("mean"),
        func.stddev_samp(Score.value).label("deviation"),
    )
    .join(Score, Score.explanation_id == Explanation.id)
    .where(Score.scorer == HEADLINE_SCORER, Score.sample == HEADLINE_SAMPLE)
    .group_by(Explanation.method_id)
)
_PRICES = (
    select(Run.method_id, (func.sum(LlmCall.price) / func.count(LlmCall.run_id.distinct())).label("price"))
    .join(LlmCall, LlmCall.run_id == Run.id)
    .where(Run.explanation_id.is_(None))
    .group_by(Run.method_id)
)


def _one(statement: Any, column: Any, method_id: int | None) -> Any:
    return statement if method_id is None else statement.where(column == method_id)


def _newest(method_id: int) -> Any:
    """One headline score per neuron: that of the first candidate of the method's newest run."""
    explanation, score = aliased(Explanation), aliased(Score)
    return (
        select(explanation.neuron_id, score.value)
        .join(score, score.explanation_id == explanation.id)
        .where(
            explanation.method_id == method_id,
            score.scorer == HEADLINE_SCORER,
            score.sample == HEADLINE_SAMPLE,
            score.value.is_not(None),
        )
        .ext(distinct_on(explanation.neuron_id))
        .order_by(explanation.neuron_id, explanation.run_id.desc().nulls_last(), explanation.id)
        .subquery()
    )


def _figures(method: Method, runs: Any, scores: Any, prices: Any) -> MethodFigures:
    n_scored = scores.n if scores is not None else 0
    return MethodFigures(
        id=method.id,
        name=method.name,
        version=method.version,
        label=method.label,
        explainer=method.explainer,
        simulator=method.simulator,
        scorers=tuple(method.scorers),
        provider=method.provider,
        parameters=method.parameters,
        created_at=method.created_at,
        n_runs=runs.n_runs if runs is not None else 0,
        n_failed=runs.n_failed if runs is not None else 0,
        n_scored=n_scored,
        score=mean_with_interval(n_scored, scores.mean, scores.deviation)
        if n_scored
        else mean_with_interval(0, None, None),
        seconds_per_neuron=float(runs.seconds) if runs is not None and runs.seconds is not None else None,
        price_per_neuron=float(prices.price) if prices is not None and prices.price is not None else None,
    )
