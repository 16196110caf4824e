"""Random explanations of the demo's neurons with what they miss and wrongly claim, for a person to judge by reading.

``python -m benchmarks.reading_pool --number 60 --first 60 --seed 101`` explains neurons that are drawn by chance and
executes each text on a pool of excerpts of the demo's corpus. Whether a text is true and well worded is for the reader
to count. ``benchmarks.reading`` prints stored explanations instead.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator

import numpy as np

from app.domain.arrays import Bools, Float32s, Int32s
from app.domain.executed import FIRING_LEVEL
from app.errors import MethodError
from benchmarks.truth.numbers import Reader, built, pearson_of
from benchmarks.truth.pool import Neuron, Pool, collect_pool
from worker.method.pipeline import without_held_out

EXCERPTS, NEURONS, POOL_SEED = 8000, 300, 7
STRONGEST, SHOWN, MISTAKES = 12, 5, 6
BEFORE = 7
"""Tokens before a peak."""
SILENT_BELOW = 1.0
"""Level below which a claimed token is printed as a false alarm."""


def main() -> None:
    """Print the explanations that the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=60)
    parser.add_argument("--first", type=int, default=0, help="so many of the draw are left out")
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    pool = collect_pool(n_excerpts=EXCERPTS, n_neurons=NEURONS, seed=POOL_SEED)
    drawn = random.Random(wanted.seed).sample(pool.neurons, len(pool.neurons))
    for neuron in drawn[wanted.first : wanted.first + wanted.number]:
        sys.stdout.write("\n".join(lines(pool, neuron)) + "\n\n")


def lines(pool: Pool, neuron: Neuron) -> list[str]:
    """What is said of a neuron, the tokens that explain most of it, its highest excerpts, false alarms and misses."""
    head = f"{neuron.layer}/{neuron.index}"
    try:
        text = built().explainer.explain(without_held_out(pool.task(neuron, seed=0)))[0].text
    except MethodError as error:
        return [f"{head}: {error.message}"]
    expected = Reader(pool).expected(text)
    if expected is None:
        return [f"{head}: cannot be executed: {text}"]
    r = pearson_of(neuron.activations, expected) or 0.0
    levels = neuron.activations * (10 / neuron.maximum)
    return [
        f"{head} (executed {r:.2f}, fires on {neuron.firing_rate:.2%}): {text}",
        f"  tokens {'  '.join(_strongest(pool, levels))}",
        *(f"  top {_excerpt(pool, neuron, excerpt)}" for excerpt in np.argsort(-neuron.peaks)[:SHOWN].tolist()),
        *(
            f"  at level {level:.0f}: {(expected == level).sum()} tokens, mean {levels[expected == level].mean():.1f}"
            for level in np.unique(expected[expected > 0]).tolist()
        ),
        f"  false alarms {_counted(pool, (expected >= FIRING_LEVEL) & (levels < SILENT_BELOW))}",
        f"  misses {_counted(pool, (expected == 0) & (levels >= FIRING_LEVEL))}",
    ]


def _strongest(pool: Pool, levels: Float32s) -> Iterator[str]:
    """The tokens above the mean that explain most variance, each with its mean level and its number."""
    ids, values = pool.tokens.ravel(), levels.ravel().astype(np.float64)
    counts = np.bincount(ids)
    means = np.bincount(ids, values) / np.maximum(counts, 1)
    explained = counts * np.maximum(means - values.mean(), 0) ** 2
    for token_id in np.argsort(-explained)[:STRONGEST].tolist():
        yield f"{_text(pool, token_id)} {means[token_id]:.1f} x{counts[token_id]}"


def _excerpt(pool: Pool, neuron: Neuron, excerpt: int) -> str:
    at = int(neuron.activations[excerpt].argmax())
    before, peak, after = np.split(
        pool.tokens[excerpt][max(0, at - BEFORE) : at + 2], [min(at, BEFORE), min(at, BEFORE) + 1]
    )
    return f"{_joined(pool, before)}«{_joined(pool, peak)}»{_joined(pool, after)}"


def _counted(pool: Pool, flags: Bools) -> str:
    found = Counter(pool.tokens[flags].tolist()).most_common(MISTAKES)
    return "  ".join(f"{_text(pool, token_id)} x{n}" for token_id, n in found)


def _joined(pool: Pool, token_ids: Int32s) -> str:
    return "".join(_text(pool, token_id) for token_id in token_ids.tolist())


def _text(pool: Pool, token_id: int) -> str:
    return repr(pool.vocabulary.tokens[token_id].decode("utf-8", errors="replace"))[1:-1]


if __name__ == "__main__":
    main()
