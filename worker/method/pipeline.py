"""Explain, simulate, score: one neuron through one method.

It uses neither database nor queue. The explainer gets the task without validation and test records, so that no text is
made from the records that score it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.domain.activations import NORMALISED_MAXIMUM, NeuronRecords, SampleKind, Split
from app.domain.baselines import SHUFFLED, TOKEN_LOOKUP
from app.domain.results import ExplanationResult, ScoreResult, SimulatedExcerpt, SimulationResult
from app.domain.steps.spec import Records
from app.domain.tokens import Vocabulary
from app.errors import MethodError
from app.version import code_version
from worker.collection.hard_negatives import with_hard_negatives
from worker.method.baselines import token_lookup
from worker.method.contracts import (
    CalibratedSimulator,
    Candidate,
    CannotSimulate,
    NeuronTask,
    PairedScorer,
    ScoredExcerpt,
    Simulator,
    TextScorer,
)
from worker.method.registry import BuiltMethod

Report = Callable[[str, float], None]


def run_method(method: BuiltMethod, task: NeuronTask, report: Report) -> tuple[ExplanationResult, ...]:
    """Every candidate of the method's explainer, simulated and scored, the preferred first.

    A task with a given text has it as the only candidate. ``report(stage, share)`` receives the progress, 0..1. Raises
    MethodError for a neuron that never fires or has no records, and for a given text that cannot be simulated;
    ProviderError if a language model gives no usable answer.
    """
    refuse_silent(task)
    if task.text is not None:
        return (score_text(method, task, task.text, report),)
    task = with_lookalikes(method, task)
    report("explain", 0.0)
    candidates = method.explainer.explain(without_held_out(task))
    results = []
    for rank, candidate in enumerate(candidates):
        report("simulate and score", (1 + rank) / (1 + len(candidates)))
        results.append(score_candidate(method, task, candidate))
    report("done", 1.0)
    return tuple(results)


def score_text(method: BuiltMethod, task: NeuronTask, text: str, report: Report) -> ExplanationResult:
    """A given text, for example a person's, simulated and scored like any candidate.

    Raises MethodError if no excerpt could be simulated, since there would be nothing to store.
    """
    report("simulate and score", 0.0)
    result = score_candidate(method, task, Candidate(text))
    excerpts = [e for simulation in result.simulations for e in simulation.excerpts]
    if excerpts and all(e.expected is None for e in excerpts):
        raise MethodError(excerpts[0].failure)
    report("done", 1.0)
    return result


def refuse_silent(task: NeuronTask) -> None:
    """Raise MethodError if no explanation could be true: no records, or no activation above 0."""
    if not task.train and task.records.of(SampleKind.TOP):
        raise MethodError("Every top excerpt of this neuron is a copy of one that is held out for scoring.")
    if not task.train:
        raise MethodError("There are no train records of this neuron: collect it first.")
    if task.records.level_10 <= 0 or max(r.peak for r in task.train) <= 0:
        raise MethodError(
            f"This neuron never fires on this corpus: its highest activation is {task.records.level_10:.3g}. "
            "There is nothing to explain."
        )


def with_lookalikes(method: BuiltMethod, task: NeuronTask) -> NeuronTask:
    """The task with hard negatives, derived if none were collected, for methods that show or score them."""
    if not method.needs_hard_negatives:
        return task
    peer = None if task.peer is None else with_hard_negatives(task.peer)
    return replace(task, records=with_hard_negatives(task.records), peer=peer)


def without_held_out(task: NeuronTask) -> NeuronTask:
    """The task as an explainer sees it: without texts that are validation or test in any sample.

    ``peer`` and ``neighbours`` are removed too, since only a baseline and a scorer need them.
    """
    return replace(task, records=task.records.opened(), peer=None, neighbours=())


def score_candidate(method: BuiltMethod, task: NeuronTask, candidate: Candidate) -> ExplanationResult:
    """One text, a person's too, simulated and scored on the neuron's validation records."""
    task = with_lookalikes(method, task)
    records = method.simulated(task.records)
    simulator = _fitted(method.simulator, candidate.text, without_held_out(task), is_used=any(records.values()))
    excerpts = simulate(simulator, candidate.text, records, task.vocabulary, unit=unit_of(task.records))
    table = by_token_table(task, records) if TOKEN_LOOKUP in method.baselines else ()
    baselines = _baselines(method, simulator, candidate.text, task, table)
    scores: list[ScoreResult] = []
    for scorer in method.scorers:
        wanted = scorer.simulated(task.records)
        own = among(excerpts, wanted)
        if isinstance(scorer, TextScorer):
            found = scorer.score_text(candidate.text, task, own)
        else:
            found = tuple(with_baselines(result, baselines) for result in scorer.score(own, seed=task.seed))
            if isinstance(scorer, PairedScorer):
                found += scorer.margins(own, among(table, wanted), seed=task.seed)
        # a scorer that needs no simulated excerpts has no simulator
        scores += (replace(result, simulator=simulator.name if wanted else None) for result in found)
    return ExplanationResult(
        text=candidate.text,
        simulations=tuple(_simulation(simulator, kind, excerpts) for kind, rows in records.items() if rows),
        scores=(*scores, *candidate.scores),
        provenance=provenance(method, task, candidate, simulator),
    )


def among(excerpts: Iterable[ScoredExcerpt], wanted: Records) -> tuple[ScoredExcerpt, ...]:
    """The simulated excerpts that one scorer scores, each under the sample that it has for this scorer."""
    ids = {(kind, record.excerpt_id) for kind, records in wanted.items() for record in records}
    return tuple(e for e in excerpts if (e.kind, e.record.excerpt_id) in ids)


def unit_of(records: NeuronRecords) -> float:
    """The activation that an expected activation of 1 corresponds to; 1 for a neuron that never fires."""
    return records.level_10 / NORMALISED_MAXIMUM or 1.0


def simulate(
    simulator: Simulator, text: str, records: Records, vocabulary: Vocabulary, *, unit: float
) -> tuple[ScoredExcerpt, ...]:
    """Real and expected activations of every record. If the text cannot be simulated, all fail.

    ``unit`` is the activation, in the model's units, that an expected activation of 1 corresponds to.
    """
    flat = [(kind, record) for kind, rows in records.items() for record in rows]
    try:
        simulated = simulator.simulate(text, [(r.excerpt_id, r.token_ids) for _, r in flat], vocabulary)
    except CannotSimulate as error:
        simulated = tuple(
            SimulatedExcerpt(r.excerpt_id, len(r.token_ids), expected=None, failure=error.message) for _, r in flat
        )
    return tuple(ScoredExcerpt(kind, record, s, unit) for (kind, record), s in zip(flat, simulated, strict=True))


def _fitted(simulator: Simulator, text: str, task: NeuronTask, *, is_used: bool) -> Simulator:
    """The simulator to use; uncalibrated if no scorer needs a simulation."""
    if not isinstance(simulator, CalibratedSimulator):
        return simulator
    return simulator.fitted(text, task) if is_used else simulator.inner


def _simulation(simulator: Simulator, kind: SampleKind, excerpts: Sequence[ScoredExcerpt]) -> SimulationResult:
    own = [e for e in excerpts if e.kind is kind]
    return SimulationResult(simulator.name, kind, Split.VALIDATION, tuple(e.simulated for e in own), unit=own[0].unit)


Baselines = Mapping[tuple[str, str], Mapping[str, float | None]]
"""The value of each baseline, by scorer and sample."""


def by_token_table(task: NeuronTask, records: Records) -> tuple[ScoredExcerpt, ...]:
    """Every record with the prediction of the neuron's token table."""
    flat = [(kind, record) for kind, rows in records.items() for record in rows]
    simulations = token_lookup(task.records, (r for _, r in flat))
    return tuple(ScoredExcerpt(kind, r, s) for (kind, r), s in zip(flat, simulations, strict=True))


def _baselines(
    method: BuiltMethod, simulator: Simulator, text: str, task: NeuronTask, table: Sequence[ScoredExcerpt]
) -> Baselines:
    found: dict[tuple[str, str], dict[str, float | None]] = {}
    for baseline in method.baselines:
        own = task.records
        if baseline == TOKEN_LOOKUP:
            excerpts = tuple(table)
        elif task.peer is not None:
            own = task.peer
            excerpts = simulate(simulator, text, method.simulated(own), task.vocabulary, unit=unit_of(own))
        else:
            continue
        for scorer in (s for s in method.scorers if not isinstance(s, TextScorer)):
            for result in scorer.score(among(excerpts, scorer.simulated(own)), seed=task.seed):
                found.setdefault((result.scorer, result.sample), {})[baseline] = result.value
    return found


def with_baselines(result: ScoreResult, baselines: Baselines) -> ScoreResult:
    """The score with its baselines."""
    values = baselines.get((result.scorer, result.sample), {})
    return replace(
        result,
        token_lookup_baseline=values.get(TOKEN_LOOKUP),
        shuffled_baseline=values.get(SHUFFLED),
    )


def provenance(method: BuiltMethod, task: NeuronTask, candidate: Candidate, simulator: Simulator) -> dict[str, Any]:
    """Everything that could change the result, as JSON. ``simulator`` is the one used, calibrated or not."""
    definition = method.definition
    return {
        **candidate.provenance,
        "method": {"name": definition.name, "version": definition.version, "parameters": dict(definition.parameters)},
        "explainer": {"name": method.explainer.name, "version": method.explainer.version},
        "simulator": {
            "name": simulator.name,
            "version": simulator.version,
            **getattr(simulator, "provenance", {}),
        },
        "scorers": [{"name": s.name, "version": s.version} for s in method.scorers],
        "baselines": list(method.baselines),
        "provider": definition.provider,
        "seed": task.seed,
        "code_version": code_version(),
        "collection_id": task.collection_id,
        "site": None if task.site is None else {"kind": task.site.kind, "read": task.site.read_at(task.layer)},
        "tokenizer_digest": task.vocabulary.digest,
        "shown": {name: list(ids) for name, ids in candidate.shown.items()},
        "scored": {kind.value: [r.excerpt_id for r in rows] for kind, rows in method.simulated(task.records).items()},
    }
