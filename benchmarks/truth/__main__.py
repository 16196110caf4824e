"""Measure, print, write what pages show: ``python -m benchmarks.truth [--quick] [--json FILE] [--write]``."""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.figures import commit, machine
from benchmarks.truth.coverage import LEAST, MOST, Coverage, coverage
from benchmarks.truth.numbers import EXECUTED, SCORE_2023, SCORERS, WHOLE_CORPUS, built
from benchmarks.truth.planted import Case, Comparison, bias, cases, compared, kinds_of
from benchmarks.truth.pool import CORPUS, collect_pool
from benchmarks.truth.sanity import Sanity, sanity

PAGES = Path(__file__).resolve().parents[2] / "app" / "web" / "measured" / "truth.json"
"""What the methods page reads."""
TWIN_SEED = 1
GOOD = 0.5
NOTICED = 0.95
"""Share of the made neurons for which a score must fall to pass a check of labels."""
TARGETS: Mapping[str, float] = {
    "twice_too_broad": 0.99,
    "ten_times_too_broad": 0.99,
    "too_narrow": 0.97,
    "swapped": 0.995,
}
"""Share of pairs that the right text must win, by every score but the estimate of the executed one."""
LOST_BY_ESTIMATING = 0.03
"""The weighted estimate may win so much less than the executed score."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    n_excerpts: int
    n_neurons: int
    n_draws: int
    n_made: int
    n_made_excerpts: int

    @property
    def command(self) -> str:
        """What measures so much, and writes it for pages."""
        options = f" --neurons {self.n_neurons} --excerpts {self.n_excerpts} --draws {self.n_draws}"
        return f"python -m benchmarks.truth --write{'' if self == FULL else options}"


FULL = Size(n_excerpts=8000, n_neurons=150, n_draws=20, n_made=100, n_made_excerpts=8000)
QUICK = Size(n_excerpts=400, n_neurons=8, n_draws=2, n_made=5, n_made_excerpts=400)


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What a scorer does not reach: in a few words, and in a sentence whose subject is the scorer."""

    scorer: str
    label: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Truth:
    """Everything that was measured."""

    size: Size
    cases: Sequence[Case]
    twin: Sequence[Case]
    sanity: Sequence[Sanity]
    coverage: Mapping[str, Coverage]

    @property
    def comparisons(self) -> dict[tuple[str, str], Comparison]:
        """By scorer and kind of wrong text."""
        pairs = (
            (scorer, kind, compared(self.cases, scorer, kind)) for scorer in SCORERS for kind in kinds_of(self.cases)
        )
        return {(scorer, kind): found for scorer, kind, found in pairs if found is not None}

    def above(self, found: Sequence[Case], scorer: str) -> float:
        """The share of right texts above ``GOOD``."""
        return float(np.mean([(case.right.get(scorer) or 0.0) > GOOD for case in found])) if found else 0.0

    def shortfalls(self) -> list[Shortfall]:
        """What scorers do not reach."""
        return [*self._lost_pairs(), *self._undetected_labels(), *self._missed_intervals()]

    def _lost_pairs(self) -> Iterator[Shortfall]:
        comparisons = self.comparisons
        for (scorer, kind), own in comparisons.items():
            target = TARGETS.get(kind)
            if target is not None and scorer == WHOLE_CORPUS:
                target = comparisons[EXECUTED, kind].paired - LOST_BY_ESTIMATING
            if target is not None and own.paired < target:
                yield Shortfall(
                    scorer,
                    _words(kind),
                    f"does not always detect {_words(kind)}: the right text wins {own.paired:.1%} of {own.n} pairs, "
                    f"the target is {target:.1%}",
                )

    def _undetected_labels(self) -> Iterator[Shortfall]:
        for check in self.sanity:
            for scorer in SCORERS:
                noticed = check.noticed.get(scorer, 1.0)
                if noticed < NOTICED:
                    yield Shortfall(
                        scorer,
                        f"{_words(check.check)} at {check.rate:.2%}",
                        f"does not always detect {_words(check.check)} of a neuron that fires on {check.rate:.2%} of "
                        f"tokens: it falls for {noticed:.0%} of {check.n} neurons",
                    )

    def _missed_intervals(self) -> Iterator[Shortfall]:
        for scorer, own in self.coverage.items():
            if not LEAST <= own.covered <= MOST:
                yield Shortfall(
                    scorer,
                    f"intervals cover {own.covered:.1%}",
                    f"has 95% intervals that contain the true value in {own.covered:.1%} of {own.n:,} draws, "
                    f"the target is {LEAST:.0%} to {MOST:.0%}",
                )
        mean, (low, high) = bias(self.cases)
        if not low <= 0 <= high:
            yield Shortfall(
                WHOLE_CORPUS,
                f"biased by {mean:+.3f}",
                f"differs from the executed score by {mean:+.3f} ({low:+.3f} to {high:+.3f}) on average",
            )


def measure(size: Size, *, seed: int = 0) -> Truth:
    """Run everything. Equal sizes and seeds give equal numbers."""
    pool = collect_pool(n_excerpts=size.n_excerpts, n_neurons=size.n_neurons, seed=seed)
    found, covered = cases(pool, seed=seed), coverage(pool, seed=seed, n_draws=size.n_draws)
    del pool
    made = sanity(built(), n_excerpts=size.n_made_excerpts, n_neurons=size.n_made, seed=seed)
    twin_pool = collect_pool(
        n_excerpts=size.n_excerpts, n_neurons=size.n_neurons, seed=seed, permutation_seed=TWIN_SEED
    )
    return Truth(size, found, cases(twin_pool, seed=seed), made, covered)


def as_document(truth: Truth) -> dict[str, Any]:
    """What the methods page shows, ready to be written as JSON."""
    shortfalls = truth.shortfalls()
    return {
        "command": truth.size.command,
        "corpus": CORPUS,
        "n_neurons": len(truth.cases),
        "n_tokens": truth.size.n_excerpts * 64,
        "kinds": list(kinds_of(truth.cases)),
        "scorers": {
            scorer: {
                "right_wins": {
                    kind: {
                        "n": own.n,
                        "paired": round(own.paired, 6),
                        "paired_interval": [round(x, 4) for x in own.paired_interval],
                        "area": round(own.unpaired, 4),
                        "area_interval": [round(x, 4) for x in own.unpaired_interval],
                    }
                    for (name, kind), own in truth.comparisons.items()
                    if name == scorer
                },
                "labels": [
                    {"check": check.check, "rate": check.rate, "noticed": round(check.noticed[scorer], 4)}
                    for check in truth.sanity
                    if scorer in check.noticed
                ],
                "above_half": round(truth.above(truth.cases, scorer), 4),
                "twin_above_half": round(truth.above(truth.twin, scorer), 4),
                "coverage": round(truth.coverage[scorer].covered, 4) if scorer in truth.coverage else None,
                "shortfalls": [
                    {"label": short.label, "sentence": short.sentence} for short in shortfalls if short.scorer == scorer
                ],
            }
            for scorer in SCORERS
        },
    }


def _words(name: str) -> str:
    return name.replace("_", " ")


def tables(truth: Truth) -> Iterator[Table]:
    """Everything as tables."""
    kinds = kinds_of(truth.cases)
    for title, both in (("in pairs", True), ("between neurons (area under the curve)", False)):
        table = Table("scorer", *map(_words, kinds), title=f"Share that the right text wins, {title}")
        for scorer in SCORERS:
            table.add_row(scorer, *(_cell(truth.comparisons.get((scorer, kind)), paired=both) for kind in kinds))
        yield table
    table = Table("scorer", *(f"{_words(c.check)} {c.rate:g}" for c in truth.sanity), title="Detected at firing rates")
    for scorer in SCORERS:
        if any(scorer in check.noticed for check in truth.sanity):
            table.add_row(scorer, *(f"{c.noticed[scorer]:.2f}" if scorer in c.noticed else "" for c in truth.sanity))
    yield table
    table = Table("interval of", "held the truth", "of", "mean width", title="Coverage of 95 % intervals")
    for name, own in truth.coverage.items():
        low, high = own.interval
        table.add_row(name, f"{own.covered:.3f} ({low:.3f} to {high:.3f})", f"{own.n:,}", f"{own.width:.2f}")
    yield table
    table = Table("scorer", "demo", "null twin", title=f"Share of texts above {GOOD}")
    for scorer in SCORERS:
        table.add_row(scorer, f"{truth.above(truth.cases, scorer):.3f}", f"{truth.above(truth.twin, scorer):.3f}")
    yield table


def _cell(comparison: Comparison | None, *, paired: bool) -> str:
    if comparison is None:
        return ""
    value, (low, high) = (
        (comparison.paired, comparison.paired_interval)
        if paired
        else (comparison.unpaired, comparison.unpaired_interval)
    )
    return f"{value:.3f} ({low:.2f}-{high:.2f}), {comparison.n}"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.truth", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few neurons, within a minute")
    parser.add_argument("--neurons", type=int, default=FULL.n_neurons, help=f"by default {FULL.n_neurons}")
    parser.add_argument("--excerpts", type=int, default=FULL.n_excerpts, help=f"by default {FULL.n_excerpts}")
    parser.add_argument("--draws", type=int, default=FULL.n_draws, help=f"of each neuron, by default {FULL.n_draws}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file")
    parser.add_argument("--write", action="store_true", help="write what the methods page shows")
    arguments = parser.parse_args()
    asked = replace(
        FULL, n_neurons=arguments.neurons, n_excerpts=arguments.excerpts, n_draws=arguments.draws,
        n_made=min(FULL.n_made, arguments.neurons), n_made_excerpts=arguments.excerpts,
    )  # fmt: skip
    truth = measure(QUICK if arguments.quick else asked)
    console = Console(width=200)
    console.print(f"truth · {commit()} · {machine()} · {len(truth.cases)} neurons, {len(truth.twin)} of the null twin")
    for table in tables(truth):
        console.print(table)
    mean, (low, high) = bias(truth.cases)
    console.print(f"whole corpus less executed score: {mean:+.4f} ({low:+.4f} to {high:+.4f})")
    mean_2023, mean_executed = (
        float(np.mean([case.right.get(name) or 0.0 for case in truth.cases])) for name in (SCORE_2023, EXECUTED)
    )
    console.print(f"mean 2023 score {mean_2023:.3f}, mean executed score {mean_executed:.3f}")
    for short in truth.shortfalls():
        console.print(f"falls short: {short.scorer} {short.sentence}")
    targets = [p for p in (arguments.json, PAGES if arguments.write else None) if p is not None]
    for path in targets:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(as_document(truth), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
