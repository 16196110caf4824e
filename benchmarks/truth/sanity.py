"""Two checks that a score must pass: it falls when labels are missing, and when there are too many.

A neuron is made whose firing tokens are known. The right text claims just these; one wrong text claims half of them,
the other as many more, by chance. A score that does not fall does not notice. Source: the missing-labels and
extra-labels tests of Oikarinen, Yan and Weng, "Evaluating neuron explanations: a unified framework with sanity
checks" (2025).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from app.domain.arrays import Bools, Float32s
from app.domain.results import SimulatedExcerpt
from app.domain.steps.spec import Records
from app.domain.tokens import Vocabulary
from benchmarks.truth.numbers import EXECUTED, F1, Numbers, f1_of, pearson_of
from benchmarks.truth.pool import TOKENS, Pool, measured
from worker.method.contracts import NeuronTask, ScoredExcerpt, TextScorer
from worker.method.pipeline import unit_of
from worker.method.registry import BuiltMethod

FIRING_RATES = (0.1, 0.01, 0.001, 0.0001)
MISSING, EXTRA = "missing_labels", "extra_labels"
CLAIMED_LEVEL = 7.0
NOISE = 0.05
Labels = Callable[[Bools, np.random.Generator], Bools]


def missing(fires: Bools, generator: np.random.Generator) -> Bools:
    """Half of the firing tokens."""
    return np.asarray(fires & (generator.random(fires.shape) < 0.5))


def extra(fires: Bools, generator: np.random.Generator) -> Bools:
    """All of the firing tokens and about as many others."""
    return np.asarray(fires | (generator.random(fires.shape) < fires.mean()))


CHECKS: Mapping[str, Labels] = {MISSING: missing, EXTRA: extra}


@dataclass(frozen=True, slots=True)
class Sanity:
    """Of ``n`` neurons that fire at a rate, how many times each score was lower for the wrong labels."""

    check: str
    rate: float
    n: int
    noticed: Mapping[str, float]
    """Share 0..1 by scorer. 1 is to be reached; a score that falls by chance alone gets .5."""


def sanity(
    method: BuiltMethod, *, n_excerpts: int, n_neurons: int, seed: int, rates: tuple[float, ...] = FIRING_RATES
) -> list[Sanity]:
    """Both checks at each firing rate, on ``n_neurons`` neurons each."""
    found = []
    for rate in rates:
        falls: dict[str, dict[str, list[bool]]] = {check: {} for check in CHECKS}
        for number in range(n_neurons):
            generator = np.random.default_rng((seed, int(1 / rate), number))
            pool, fires = _made(n_excerpts, rate, number, generator)
            task = pool.task(pool.neurons[0], seed=seed)
            right = _scores(fires, pool, task, method)
            for check, labels in CHECKS.items():
                wrong = _scores(labels(fires, generator), pool, task, method)
                for scorer, value in right.items():
                    if value is not None:
                        falls[check].setdefault(scorer, []).append(_below(wrong.get(scorer), value))
        found += [
            Sanity(check, rate, n_neurons, {scorer: float(np.mean(own)) for scorer, own in by_scorer.items()})
            for check, by_scorer in falls.items()
        ]
    return found


def _below(wrong: float | None, right: float) -> bool:
    return wrong is None or wrong < right - 1e-9


def _made(n_excerpts: int, rate: float, number: int, generator: np.random.Generator) -> tuple[Pool, Bools]:
    """A pool with one neuron that fires on tokens drawn by chance, 3 to 10 on its own scale, else has small values."""
    shape = (n_excerpts, TOKENS)
    fires = generator.random(shape) < rate
    fires[0, 0] = True
    strength = np.where(fires, 0.3 + 0.7 * generator.random(shape) ** 2, NOISE * generator.random(shape))
    tokens = generator.integers(0, 256, size=shape, dtype=np.int32)
    vocabulary = Vocabulary("bytes", tuple(bytes([i]) for i in range(256)))
    neuron = measured(number, (0, number), strength.astype(np.float32), tokens)
    return Pool(tokens, (neuron,), vocabulary), fires


def _scores(labels: Bools, pool: Pool, task: NeuronTask, method: BuiltMethod) -> Numbers:
    """All scores of an explanation that claims exactly the labelled tokens."""
    expected = np.where(labels, np.float32(CLAIMED_LEVEL), np.float32(0))
    neuron = pool.neurons[0]
    found: dict[str, float | None] = {
        EXECUTED: pearson_of(neuron.activations, expected),
        F1: f1_of(neuron.activations, expected, neuron.maximum),
    }
    for scorer in method.scorers:
        excerpts = simulated(scorer.simulated(task.records), expected, unit_of(task.records))
        if isinstance(scorer, TextScorer):
            results = scorer.score_text("", task, excerpts)
        else:
            results = scorer.score(excerpts, seed=0)
        found |= {r.scorer: r.value for r in results if r.sample in ("top_and_random", "corpus")}
    return found


def simulated(records: Records, expected: Float32s, unit: float) -> tuple[ScoredExcerpt, ...]:
    """Records with what is expected of each excerpt of the pool, [E, T]; an excerpt's id is its place in the pool."""
    return tuple(
        ScoredExcerpt(kind, r, SimulatedExcerpt(r.excerpt_id, len(r.token_ids), expected[r.excerpt_id]), unit)
        for kind, rows in records.items()
        for r in rows
    )
