"""Estimates of a batch's calls and cost: from the method's finished runs, otherwise from the catalogue of steps."""

from collections.abc import Sequence

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from app.domain.activations import NeuronRecords
from app.domain.costs import CallPlan, CostEstimate, Prices, estimate, estimated_plan
from app.domain.steps.catalogue import UnknownStep
from app.domain.steps.method import MethodSteps, calls_of, steps_of
from app.domain.steps.scored_records import NEIGHBOURS_COMPARED
from app.domain.work import WorkStatus
from app.errors import Conflict
from app.models import LlmCall, Neuron, Provider, Run, Subject
from app.queries.language_models.providers import prices_of
from app.queries.methods.definitions import method_definition
from app.queries.neurons.records import MeasuredNeuron, has_records, records_of_neurons

NEURONS_LOOKED_AT = 4
"""Neurons whose records are used for an estimate from the catalogue."""


def batch_estimate(session: Session, *, method_id: int, subject_id: int, n_neurons: int) -> CostEstimate | None:
    """The estimate for a batch of ``n_neurons``: from the method's finished runs, otherwise from its steps.

    None for a method that calls no language model. A subject without records needs no call, since each run on it fails
    before the first. Raises NotFound for an unknown method, Conflict for one whose steps do not exist.
    """
    method = method_definition(session, method_id=method_id)
    if method.provider is None:
        return None
    provider = session.scalar(select(Provider).where(Provider.name == method.provider))
    n_known, plan = calls_per_run(session, method_id=method_id)
    if plan is None:
        try:
            plan = _estimated(session, steps_of(method), subject_id)
        except UnknownStep as error:
            raise Conflict(f"The method {method.name} cannot run. {error}") from error
    prices = Prices() if provider is None else prices_of(provider)
    at_once = 1 if provider is None else provider.concurrency
    return estimate(n_neurons, plan, prices, at_once=at_once, n_known=n_known)


def _estimated(session: Session, steps: MethodSteps, subject_id: int) -> CallPlan:
    """The mean number of calls, over some neurons of the subject, each with the next one as its peer."""
    found = some_records(session, subject_id=subject_id)
    peers: Sequence[NeuronRecords | None] = [*found[1:], found[0]] if len(found) > 1 else [None] * len(found)
    # Other neurons stand in for the neighbours: only the lengths of the excerpts matter.
    near = [tuple(other for other in found if other is not own)[:NEIGHBOURS_COMPARED] for own in found]
    return estimated_plan([calls_of(steps, *parts) for parts in zip(found, peers, near, strict=True)])


def some_records(session: Session, *, subject_id: int, n: int = NEURONS_LOOKED_AT) -> list[NeuronRecords]:
    """The records of up to ``n`` neurons of a subject that fire and have records in its newest collection."""
    rows = session.execute(
        select(Neuron.id, Neuron.max, Neuron.mean, Subject.collection_id)
        .join(Subject, Subject.id == Neuron.subject_id)
        .where(Neuron.subject_id == subject_id, Subject.collection_id.is_not(None))
        .where(has_records(Neuron, Subject.collection_id))
        .where(or_(Neuron.max.is_(None), Neuron.max > 0))
        .order_by(Neuron.layer, Neuron.index)
        .limit(n)
    ).all()
    if not rows:
        return []
    neurons = [MeasuredNeuron(row.id, row.max, row.mean) for row in rows]
    return list(records_of_neurons(session, neurons=neurons, collection_id=rows[0].collection_id).values())


def calls_per_run(session: Session, *, method_id: int, newest: int = 200) -> tuple[int, CallPlan | None]:
    """The number of finished runs of a method, and the mean calls of one run."""
    recent = (
        select(Run.id)
        .where(Run.method_id == method_id, Run.status == WorkStatus.SUCCEEDED, Run.explanation_id.is_(None))
        .order_by(Run.id.desc())
        .limit(newest)
        .subquery()
    )
    row = session.execute(
        select(
            func.count(LlmCall.run_id.distinct()),
            func.count(),
            func.coalesce(func.sum(LlmCall.tokens_in), 0),
            func.coalesce(func.sum(LlmCall.tokens_cached), 0),
            func.coalesce(func.sum(LlmCall.tokens_out), 0),
            func.coalesce(func.sum(LlmCall.latency_seconds), 0.0),
        ).where(LlmCall.run_id.in_(select(recent.c.id)))
    ).one()
    n_runs, n_calls = int(row[0]), int(row[1])
    if n_runs == 0:
        return 0, None
    plan = CallPlan(
        calls=n_calls / n_runs,
        tokens_in=(row[2] or 0) / n_runs,
        tokens_cached=(row[3] or 0) / n_runs,
        tokens_out=(row[4] or 0) / n_runs,
        seconds_per_call=(row[5] or 0.0) / n_calls,
    )
    return n_runs, plan
