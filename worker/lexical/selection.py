"""Which few of the proposals predict a neuron best: a greedy search with a price per claim."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.lexical.grammar import STRENGTHS, Clause
from worker.lexical.matching import Block
from worker.lexical.proposals import Proposals

Matrix = NDArray[np.float32]
Vector = NDArray[np.float32]

_LEVELS = np.array(sorted(STRENGTHS), dtype=np.float32)
_SHORTLIST = 64
MOST_ITEMS = 6
PRICE = 0.012
SHRINK = 1.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """Activations on the scale 0..10 with the weight of each token; all are [N]."""

    activations: Vector
    weights: Vector


class Search:
    def __init__(self, block: Block, proposals: Proposals, evidence: Evidence) -> None:
        self.proposals = proposals
        self.targets = np.stack([block.target(t) for t in proposals.targets]).astype(np.float32)
        everywhere = np.ones(block.n, dtype=np.bool_)
        self.contexts = np.stack([everywhere if c is None else block.context(c) for c in proposals.contexts]).astype(
            np.float32
        )
        self.y = evidence.activations
        self.w = evidence.weights / evidence.weights.sum()
        self.count = (self.targets * self.w) @ self.contexts.T  # [K, C]
        self.total = (self.targets * (self.w * self.y)) @ self.contexts.T
        self.single = 1.0 / block.n

    def run(self) -> list[Clause]:
        p = np.zeros_like(self.y)
        best = 0.0
        chosen: list[Clause] = []
        price = PRICE
        for _ in range(MOST_ITEMS):
            found = self._step(p)
            if found is None:
                break
            r, t, c, strength, new = found
            if r - price < best:
                break
            context = self.proposals.contexts[c]
            chosen.append(Clause(int(strength), (self.proposals.targets[t],), () if context is None else (context,)))
            p, best = new, r
        return chosen

    def _step(self, p: Vector) -> tuple[float, int, int, float, Vector] | None:
        predicted = (self.targets * (self.w * p)) @ self.contexts.T
        excess = self.total - predicted
        gain = np.where(
            (excess > 0) & (self.count > 0), excess * excess / np.maximum(self.count + SHRINK * self.single, 1e-9), 0
        )
        order = np.argsort(-gain, axis=None)[:_SHORTLIST]
        order = order[gain.ravel()[order] > 0]
        if not len(order):
            return None
        ts, cs = np.unravel_index(order, gain.shape)
        masks = self.targets[ts] * self.contexts[cs]
        mean = self.total[ts, cs] / (self.count[ts, cs] + SHRINK * self.single)
        strength = _LEVELS[np.abs(_LEVELS[None] - mean[:, None]).argmin(1)]
        new = np.maximum(p, masks * strength[:, None])
        r = self._correlation(new)
        price = np.where(cs > 0, 0.004, 0)
        k = int(np.argmax(r - price))
        return float(r[k]), int(ts[k]), int(cs[k]), float(strength[k]), new[k]

    def _correlation(self, p: Matrix) -> Vector:
        yc = self.y - self.w @ self.y
        mean = p @ self.w
        cov = p @ (self.w * yc)
        var = (p * p) @ self.w - mean * mean
        return np.asarray(cov / np.sqrt(np.maximum(var, 1e-12) * (self.w @ (yc * yc))), dtype=np.float32)
