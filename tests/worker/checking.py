"""Help for tests of checks: explanations of fake neurons, and what must come out, token by token."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from app.domain.activations import NORMALISED_LEVELS, normalise
from app.domain.executed import FIRING_LEVEL, firing_threshold
from app.domain.tokens import Vocabulary
from tests.worker.collecting import FakeModel
from worker.checks.checker import Executable
from worker.checks.passes import CheckPass
from worker.checks.state import CheckState
from worker.collection.passes import BatchSize
from worker.collection.plan import Excerpts, Plan
from worker.lexical.matching import Block
from worker.lexical.parser import parse

BYTES = Vocabulary("bytes", tuple(bytes([i]) for i in range(256)))
TEXTS = (
    'fires on "a"',
    'strongly on "q", weakly on the token after "b" or "c", but not on "d"',
    "very weakly on any token",
    'fires on "th", "in" and "er", moderately on any token anywhere after "z"',
    "weakly on lower-case words at the start of the excerpt",
    'fires on "never there at all"',
)


def some_explanations(model: FakeModel) -> list[Executable]:
    """One or two explanations of most neurons, in the order of a check."""
    places = [(layer, index) for layer in range(model.n_layers) for index in range(model.neurons) if index != 3]
    twice = sorted([*places, *places[1:3]])
    return [
        Executable(100 + 7 * number, layer, index, parse(TEXTS[number % len(TEXTS)]))
        for number, (layer, index) in enumerate(twice)
    ]


def maxima_of(model: FakeModel, excerpts: Excerpts, plan: Plan) -> np.ndarray:
    """[layers, neurons]."""
    activations = model.activations(excerpts.tokens(range(plan.n_excerpts)))
    return np.asarray(activations.max(axis=(1, 2)), dtype=np.float64)


def a_check(folder: Path, plan: Plan, model: FakeModel, batch: int = 5) -> CheckPass:
    """A check of a fake model's explanations."""
    excerpts = Excerpts(folder, plan)
    maxima = maxima_of(model, excerpts, plan)
    return CheckPass(model, plan, excerpts, some_explanations(model), maxima, BYTES, BatchSize(batch))


@dataclass
class BruteForce:
    """One explanation looked at token by token, without anything that a check uses."""

    tokens: np.ndarray = field(default_factory=lambda: np.zeros(NORMALISED_LEVELS, dtype=np.int64))
    firing: np.ndarray = field(default_factory=lambda: np.zeros(NORMALISED_LEVELS, dtype=np.int64))
    sums: np.ndarray = field(default_factory=lambda: np.zeros(NORMALISED_LEVELS))
    n_firing: int = 0
    alarms: Counter[int] = field(default_factory=Counter)
    misses: Counter[int] = field(default_factory=Counter)
    alarm_gaps: dict[int, int] = field(default_factory=dict)
    miss_gaps: dict[int, int] = field(default_factory=dict)
    """By excerpt: the widest gap in levels."""


def brute_force(work: CheckPass, model: FakeModel, executable: Executable) -> BruteForce:
    """What a check must find of one explanation."""
    rows = work.excerpts.tokens(range(work.plan.n_excerpts))
    real = model.activations(rows)[executable.layer][:, :, executable.index]
    maximum = float(work.maxima[executable.layer, executable.index])
    threshold, found = np.float32(firing_threshold(maximum)), BruteForce()
    for ordinal, row in enumerate(rows):
        expected = Block([row], BYTES).predict(executable.clauses).astype(int)
        levels = normalise(real[ordinal], maximum)
        for token, value, level, claimed in zip(row.tolist(), real[ordinal], levels, expected.tolist(), strict=True):
            fires = bool(value >= threshold)
            found.n_firing += fires
            if claimed:
                found.tokens[claimed] += 1
                found.firing[claimed] += fires
                found.sums[claimed] += float(value)
            if claimed >= FIRING_LEVEL and not fires:
                found.alarms[token] += 1
                found.alarm_gaps[ordinal] = max(found.alarm_gaps.get(ordinal, -1), claimed - int(level))
            if fires and claimed < FIRING_LEVEL:
                found.misses[token] += 1
                found.miss_gaps[ordinal] = max(found.miss_gaps.get(ordinal, -1), int(level) - claimed)
    return found


def assert_same_check(left: CheckState, right: CheckState) -> None:
    """Two states say the same to the last bit, whatever order their excerpts are in."""
    assert (left.shards, left.excerpts, left.shape) == (right.shards, right.excerpts, right.shape)
    for name in ("tokens", "firing", "sums", "n_firing"):
        torch.testing.assert_close(left.tensors[name], right.tensors[name], rtol=0, atol=0)
    for mine, theirs in zip(left.tallies, right.tallies, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
    mine_best, theirs_best = left.best.ordered(), right.best.ordered()
    for name in ("scores", "peaks", "values", "bar"):
        torch.testing.assert_close(getattr(mine_best, name), getattr(theirs_best, name), rtol=0, atol=0)
