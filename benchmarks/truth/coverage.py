"""How often a 95 % interval holds what it estimates, which the pool knows: drawn again and again from real records."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from app.domain.activations import NeuronRecords, SampleKind
from app.domain.arrays import Bools, Float32s
from app.domain.intervals import Interval, share_interval
from app.domain.judgements import auc
from app.domain.results import ScoreResult
from app.domain.samples import STRATA
from app.domain.scores import pearson, token_sums
from app.domain.searches import searched_words
from app.domain.steps.scored_records import EXCERPTS_PER_SAMPLE, RATED_PER_SAMPLE
from benchmarks.truth.numbers import FOUND_TEXTS, NEIGHBOURS, Reader, fires_and_claims, pearson_of
from benchmarks.truth.planted import NEURONS_AT_ONCE, explained, nearest
from benchmarks.truth.pool import Neuron, Pool, PoolSubject, redrawn, strata_of
from benchmarks.truth.sanity import simulated
from worker.method.pipeline import by_token_table, unit_of
from worker.scorers.correlation import CorrelationScorer
from worker.scorers.detection import FITS_FROM_SHARE
from worker.scorers.found_texts import FoundTextsScorer, holding
from worker.scorers.neighbours import NeighboursScorer
from worker.scorers.samples import SILENT_BELOW_SHARE
from worker.scorers.whole_corpus import WholeCorpusScorer
from worker.simulators.lexical import LexicalSimulator

LEAST, MOST = 0.93, 0.97
SCORED = (*STRATA, SampleKind.RANDOM)
SEARCHED_PART = 10
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
            own = _Explained(pool, neuron, text, expected)
            truth = truths(own, task.records)
            for draw in range(n_draws):
                for name, interval in _intervals(own, seed=seed + 1 + draw):
                    value = truth.get(name)
                    if value is not None:
                        hits[name].append(interval[0] - 1e-9 <= value <= interval[1] + 1e-9)
                        widths[name].append(interval[1] - interval[0])
    return {
        name: Coverage(len(own), float(np.mean(own)), share_interval(sum(own), len(own)), float(np.mean(widths[name])))
        for name, own in hits.items()
    }


@dataclass(frozen=True)
class _Explained:
    """A neuron of a pool with its text, and the levels that the text leads to expect on every excerpt [E, T]."""

    pool: Pool
    neuron: Neuron
    text: str
    expected: Float32s

    @cached_property
    def near(self) -> list[Neuron]:
        """Its neighbours in the pool."""
        of_layer = [other for other in self.pool.neurons if other.layer == self.neuron.layer]
        return nearest(self.neuron, [other for other in of_layer if other is not self.neuron])

    @cached_property
    def finds(self) -> Bools:
        """The excerpts of the pool that hold a word of the text. [E]"""
        words = searched_words(self.text)
        if not words:
            return np.zeros(len(self.pool.tokens), dtype=np.bool_)
        return holding(list(self.pool.tokens), words, self.pool.vocabulary)


def truths(own: _Explained, records: NeuronRecords) -> Truth:
    """What each interval is to hold: the statistic over the whole pool, each excerpt as often as it is drawn."""
    neuron, expected = own.neuron, own.expected
    real, table = neuron.activations, neuron.table.expected(own.pool.tokens)
    fires, claimed = fires_and_claims(real, expected, neuron.maximum)
    whole, of_table = pearson_of(real, expected), pearson_of(real, table)
    mixed, mixed_table = (_mixed(real, e, neuron) for e in (expected, table))
    variance = float(real.astype(np.float64).var())
    error = float(((real - expected * unit_of(records)).astype(np.float64) ** 2).mean())
    return {
        "whole_corpus": whole,
        "whole_corpus_margin": None if whole is None or of_table is None else whole - of_table,
        "whole_corpus_explained_variance": 1 - error / variance if variance else None,
        "whole_corpus_precision": _precision(fires & claimed, claimed),
        "whole_corpus_recall": _precision(fires & claimed, fires),
        "correlation": mixed,
        "correlation_margin": None if mixed is None or mixed_table is None else mixed - mixed_table,
        "detection_auc": _area(*_classes(neuron, expected)),
        NEIGHBOURS: _chosen(own),
        FOUND_TEXTS: _precision((fires & claimed)[own.finds], claimed[own.finds]),
        f"{FOUND_TEXTS}_frequency": float(own.finds.mean()),
    }


def _precision(right: Bools, of: Bools) -> float | None:
    return float(right.sum() / of.sum()) if of.any() else None


def _chosen(own: _Explained) -> float | None:
    """The share of choices, of a top excerpt and one of each neighbour, in which the neuron's own scores highest."""
    peaks = own.expected.max(axis=1)
    top = strata_of(own.neuron.peaks)[SampleKind.TOP]
    shown = [np.setdiff1d(strata_of(other.peaks)[SampleKind.TOP], top) for other in own.near]
    shown = [excerpts for excerpts in shown if len(excerpts)]
    if not shown:
        return None
    first, *others = np.broadcast_arrays(*np.ix_(peaks[top], *(peaks[excerpts] for excerpts in shown)))
    highest = np.maximum.reduce([first, *others])
    ties = np.sum([values == highest for values in (first, *others)], axis=0)
    return float(((first == highest) / ties).mean())


def _mixed(real: Float32s, expected: Float32s, neuron: Neuron) -> float | None:
    """Pearson r where half of the excerpts are of the top sample and half of the whole pool."""
    sums = token_sums(list(real), list(expected))
    top = strata_of(neuron.peaks)[SampleKind.TOP]
    value = float(pearson((sums[top].mean(axis=0) + sums.mean(axis=0))[None])[0])
    return None if np.isnan(value) else value


def _classes(neuron: Neuron, expected: Float32s) -> tuple[Float32s, Float32s]:
    """The highest level expected in every top excerpt that fits, and in every silent excerpt of the pool."""
    ratings, peaks = expected.max(axis=1), neuron.peaks
    top = strata_of(peaks)[SampleKind.TOP]
    fits = top[peaks[top] >= FITS_FROM_SHARE * neuron.maximum]
    silent = np.flatnonzero(peaks < SILENT_BELOW_SHARE * neuron.maximum)
    return ratings[fits], ratings[silent]


def _area(fits: Float32s, silent: Float32s) -> float | None:
    if not len(fits) or not len(silent):
        return None
    order = np.sort(silent)
    below, upto = np.searchsorted(order, fits, "left"), np.searchsorted(order, fits, "right")
    return float(((below + upto) / 2 / len(silent)).mean())


def _intervals(own: _Explained, *, seed: int) -> Iterator[tuple[str, Interval]]:
    """Every interval of one draw."""
    pool, neuron, expected = own.pool, own.neuron, own.expected
    generator = np.random.default_rng((seed, neuron.number))
    task = pool.task(neuron, seed=seed, neighbours=own.near)
    task = replace(
        task,
        records=_redrawn(task.records, generator),
        neighbours=tuple(_redrawn(near, generator) for near in task.neighbours),
    )
    results: list[ScoreResult] = []
    whole = WholeCorpusScorer()
    results += whole.score_text("", task, simulated(whole.simulated(task.records), expected, unit_of(task.records)))
    fitted = CorrelationScorer(("top_and_random",))
    wanted = fitted.simulated(task.records)
    shown = simulated(wanted, expected, unit_of(task.records))
    results += fitted.score(shown, seed=seed)
    results += fitted.margins(shown, by_token_table(task, wanted), seed=seed)
    simulator = LexicalSimulator()
    results += NeighboursScorer(simulator).score_text(own.text, task, ())
    # A part of the pool, as a search reads a part of a corpus.
    searched = {"n_searched": len(pool.tokens) // SEARCHED_PART}
    results += FoundTextsScorer(simulator, PoolSubject(pool, neuron), searched).score_text(own.text, task, ())
    for result in results:
        if result.interval is not None:
            yield result.scorer, result.interval
    fits, silent = _classes(neuron, expected)
    if len(fits) >= RATED_PER_SAMPLE and len(silent) >= RATED_PER_SAMPLE:
        drawn = [generator.choice(rows, RATED_PER_SAMPLE, replace=False) for rows in (fits, silent)]
        area = auc([True] * RATED_PER_SAMPLE + [False] * RATED_PER_SAMPLE, np.concatenate(drawn).tolist())
        if area.interval is not None:
            yield "detection_auc", area.interval


def _redrawn(records: NeuronRecords, generator: np.random.Generator) -> NeuronRecords:
    """The same records with others held out for scoring, by chance."""
    return redrawn(
        records, {kind: generator.permutation(len(records.of(kind)))[:EXCERPTS_PER_SAMPLE].tolist() for kind in SCORED}
    )
