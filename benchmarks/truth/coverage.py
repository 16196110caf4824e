"""How often a 95 % interval holds what it estimates, which the pool knows: drawn again and again from real records."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.domain.activations import FloatArray, NeuronRecords, SampleKind
from app.domain.intervals import Interval, share_interval
from app.domain.judgements import auc
from app.domain.results import ScoreResult
from app.domain.samples import STRATA
from app.domain.scores import pearson, token_sums
from app.domain.steps.scored_records import EXCERPTS_PER_SAMPLE, RATED_PER_SAMPLE
from benchmarks.truth.numbers import Reader, fires_and_claims, pearson_of
from benchmarks.truth.planted import NEURONS_AT_ONCE, explained
from benchmarks.truth.pool import Neuron, Pool, redrawn, strata_of
from benchmarks.truth.sanity import simulated
from worker.method.pipeline import by_token_table, unit_of
from worker.scorers.correlation import CorrelationScorer
from worker.scorers.detection import FITS_FROM_SHARE, SILENT_BELOW_SHARE
from worker.scorers.whole_corpus import WholeCorpusScorer

LEAST, MOST = 0.93, 0.97
SCORED = (*STRATA, SampleKind.RANDOM)
Truth = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many of ``n`` intervals held the truth, and the mean width of an interval."""

    n: int
    covered: float
    interval: Interval
    width: float


def coverage(pool: Pool, *, seed: int, n_draws: int) -> Mapping[str, Coverage]:
    """By scorer, over every explained neuron and ``n_draws`` draws of each."""
    hits, widths = defaultdict[str, list[bool]](list), defaultdict[str, list[float]](list)
    known = list(explained(pool, seed=seed))
    for first in range(0, len(known), NEURONS_AT_ONCE):
        reader = Reader(pool)
        for neuron, task, text in known[first : first + NEURONS_AT_ONCE]:
            expected = reader.expected(text)
            if expected is None:
                continue
            truth = truths(pool, neuron, task.records, expected)
            for draw in range(n_draws):
                for name, interval in _intervals(pool, neuron, expected, seed=seed + 1 + draw):
                    value = truth.get(name)
                    if value is not None:
                        hits[name].append(interval[0] - 1e-9 <= value <= interval[1] + 1e-9)
                        widths[name].append(interval[1] - interval[0])
    return {
        name: Coverage(len(own), float(np.mean(own)), share_interval(sum(own), len(own)), float(np.mean(widths[name])))
        for name, own in hits.items()
    }


def truths(pool: Pool, neuron: Neuron, records: NeuronRecords, expected: FloatArray) -> Truth:
    """What each interval is to hold: the statistic over the whole pool, each excerpt as often as it is drawn."""
    real, table = neuron.activations, neuron.table.expected(pool.tokens)
    fires, claimed = fires_and_claims(real, expected, neuron.maximum)
    both = float((fires & claimed).sum())
    own, of_table = pearson_of(real, expected), pearson_of(real, table)
    mixed, mixed_table = (_mixed(real, e, neuron) for e in (expected, table))
    variance = float(real.astype(np.float64).var())
    error = float(((real - expected * unit_of(records)).astype(np.float64) ** 2).mean())
    return {
        "whole_corpus": own,
        "whole_corpus_margin": None if own is None or of_table is None else own - of_table,
        "whole_corpus_explained_variance": 1 - error / variance if variance else None,
        "whole_corpus_precision": both / float(claimed.sum()) if claimed.any() else None,
        "whole_corpus_recall": both / float(fires.sum()) if fires.any() else None,
        "correlation": mixed,
        "correlation_margin": None if mixed is None or mixed_table is None else mixed - mixed_table,
        "detection_auc": _area(*_classes(neuron, expected)),
    }


def _mixed(real: FloatArray, expected: FloatArray, neuron: Neuron) -> float | None:
    """Pearson r where half of the excerpts are of the top sample and half of the whole pool."""
    sums = token_sums(list(real), list(expected))
    top = strata_of(neuron.peaks)[SampleKind.TOP]
    value = float(pearson((sums[top].mean(axis=0) + sums.mean(axis=0))[None])[0])
    return None if np.isnan(value) else value


def _classes(neuron: Neuron, expected: FloatArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The highest level expected in every top excerpt that fits, and in every silent excerpt of the pool."""
    ratings, peaks = expected.max(axis=1), neuron.peaks
    top = strata_of(peaks)[SampleKind.TOP]
    fits = top[peaks[top] >= FITS_FROM_SHARE * neuron.maximum]
    silent = np.flatnonzero(peaks < SILENT_BELOW_SHARE * neuron.maximum)
    return ratings[fits], ratings[silent]


def _area(fits: NDArray[np.float32], silent: NDArray[np.float32]) -> float | None:
    if not len(fits) or not len(silent):
        return None
    order = np.sort(silent)
    below, upto = np.searchsorted(order, fits, "left"), np.searchsorted(order, fits, "right")
    return float(((below + upto) / 2 / len(silent)).mean())


def _intervals(pool: Pool, neuron: Neuron, expected: FloatArray, *, seed: int) -> Iterator[tuple[str, Interval]]:
    """Every interval of one draw."""
    generator = np.random.default_rng((seed, neuron.number))
    records = pool.records(neuron, seed=seed)
    places = {kind: generator.permutation(len(records.of(kind)))[:EXCERPTS_PER_SAMPLE].tolist() for kind in SCORED}
    task = replace(pool.task(neuron, seed=seed), records=redrawn(records, places))
    results: list[ScoreResult] = []
    whole = WholeCorpusScorer()
    results += whole.score_text("", task, simulated(whole.simulated(task.records), expected, unit_of(task.records)))
    fitted = CorrelationScorer(("top_and_random",))
    wanted = fitted.simulated(task.records)
    own = simulated(wanted, expected, unit_of(task.records))
    results += fitted.score(own, seed=seed)
    results += fitted.margins(own, by_token_table(task, wanted), seed=seed)
    for result in results:
        if result.interval is not None:
            yield result.scorer, result.interval
    fits, silent = _classes(neuron, expected)
    if len(fits) >= RATED_PER_SAMPLE and len(silent) >= RATED_PER_SAMPLE:
        drawn = [generator.choice(own, RATED_PER_SAMPLE, replace=False) for own in (fits, silent)]
        area = auc([True] * RATED_PER_SAMPLE + [False] * RATED_PER_SAMPLE, np.concatenate(drawn).tolist())
        if area.interval is not None:
            yield "detection_auc", area.interval
