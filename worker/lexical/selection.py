"""Which few of the proposals predict a neuron best: a greedy search with a price per claim."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.lexical.grammar import STRENGTHS, Affixed, Clause, Context, Named, Near, Reach, Spot, Target
from worker.lexical.matching import Block
from worker.lexical.proposals import Proposals

Matrix = NDArray[np.float32]
Vector = NDArray[np.float32]

_LEVELS = np.array(sorted(STRENGTHS), dtype=np.float32)
_NEIGHBOURING_LEVELS = 2
_SHORTLIST = 96
MOST_ITEMS = 10
MOST_CLAUSES = 4
# Prices in units of correlation: what a claim must add to be worth a reader's time.
NEW_CLAUSE = 0.014
LONGER_LIST = 0.005
CLASS_PRICE = 0.002
PLACE_PRICE = 0.008
ODD_PLACE_PRICE = 0.013
"""For positions that are more often chance than what a neuron responds to."""
ONE_EXCERPT_PRICE = 0.01
"""For a claim that a single excerpt bears out."""
_ACTIVE_SHARE = 0.25
DROP_BELOW = 0.004
"""What a claim must still add to all the others."""
_TINY = 1e-9
_ROUNDING = 1e-10
_TOO_DEAR = 10.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """The records, token by token: all are [N].

    ``activations`` on the scale 0..10; ``folds`` are two weightings of the tokens, train records
    first, calibration records second. A claim must hold in both.
    """

    activations: Vector
    folds: tuple[Vector, Vector]


@dataclass(frozen=True, slots=True)
class Item:
    """One target at one position at one strength, by their indices in the proposals."""

    target: int
    context: int
    strength: int


class _Fold:
    """A weighting of the tokens, prepared for many correlations."""

    def __init__(self, activations: Vector, weights: Vector) -> None:
        self.weights = weights / max(float(weights.sum()), _TINY)
        centred = activations - self.weights @ activations
        self.centred = self.weights * centred
        self.variance = float(self.centred @ centred)
        # What rounding leaves of numbers that are all the same is no variance.
        self.is_constant = self.variance <= _ROUNDING * float(self.weights @ (activations * activations))

    def correlations(self, predictions: Matrix) -> Vector:
        """Weighted Pearson r of each row [K, N] with the activations; 0 where either is constant. [K]"""
        if self.is_constant:
            return np.zeros(len(predictions), dtype=np.float32)
        means = predictions @ self.weights
        variances = (predictions * predictions) @ self.weights - means * means
        r = (predictions @ self.centred) / np.sqrt(np.maximum(variances, _TINY) * self.variance)
        return np.asarray(np.where(variances > _TINY, r, 0), dtype=np.float32)


class Search:
    """One neuron's search. Masks of all targets [K, N] and all positions [C, N] are multiplied, not listed."""

    def __init__(self, block: Block, proposals: Proposals, evidence: Evidence) -> None:
        everywhere = np.ones(block.n, dtype=np.bool_)
        places = [everywhere if c is None else block.context(c) for c in proposals.contexts]
        self._proposals = proposals
        self._targets: Matrix = np.stack([block.target(t) for t in proposals.targets]).astype(np.float32)
        self._places: Matrix = np.stack(places).astype(np.float32)
        self._folds = [_Fold(evidence.activations, weights) for weights in evidence.folds]
        self._weights = sum((f.weights for f in self._folds), np.zeros(block.n, dtype=np.float32)) / 2
        self._count = (self._targets * self._weights) @ self._places.T
        self._total = (self._targets * (self._weights * evidence.activations)) @ self._places.T
        self._borne_out = self._excerpts_behind(block, evidence.activations)
        self._n = block.n
        self._class_prices = [CLASS_PRICE if isinstance(t, Named | Affixed) else 0.0 for t in proposals.targets]
        self._place_prices = [_place_price(c) for c in proposals.contexts]

    def _excerpts_behind(self, block: Block, activations: Vector) -> Matrix:
        """The number of excerpts in which the neuron fires on each target at each position. [K, C]"""
        active = np.flatnonzero(activations >= _ACTIVE_SHARE * activations.max())
        found: Matrix = np.zeros(self._count.shape, dtype=np.float32)
        for places in np.split(active, np.flatnonzero(np.diff(block.start[active])) + 1):
            found += (self._targets[:, places] @ self._places[:, places].T) > 0
        return found

    def run(self) -> list[Clause]:
        """The clauses, the strongest first; at least one where any claim is possible."""
        items: list[Item] = []
        predicted = np.zeros(self._n, dtype=np.float32)
        best = 0.0
        while len(items) < MOST_ITEMS:
            step = self._best_step(items, predicted)
            if step is None or step[1] <= best:
                break
            item, _, best, predicted = step
            items.append(item)
        return self._clauses(self._pruned(items))

    def _best_step(self, items: list[Item], predicted: Vector) -> tuple[Item, float, float, Vector] | None:
        """The item that adds most: it, r less its price, r, and the new prediction."""
        moves = self._shortlist(predicted, sorted({i.strength for i in items}))
        if not moves:
            return None
        masks = self._masks(moves)
        strengths = np.array([[m.strength] for m in moves], dtype=np.float32)
        predictions = np.maximum(predicted, masks * strengths)
        r = self._value(predictions)
        n_clauses = len({(i.strength, i.context) for i in items})
        prices = np.array([self._price(move, items, n_clauses) for move in moves], dtype=np.float32)
        k = int(np.argmax(r - prices))
        return moves[k], float(r[k] - prices[k]), float(r[k]), predictions[k]

    def _shortlist(self, predicted: Vector, levels: Sequence[int]) -> list[Item]:
        """The items that take most squared error away, each at its own level and at those in use nearby."""
        excess = self._total - (self._targets * (self._weights * predicted)) @ self._places.T
        gain = np.where(excess > 0, excess * excess / (self._count + 0.5 / self._n), 0).ravel()
        order = np.argpartition(-gain, min(_SHORTLIST, gain.size - 1))[:_SHORTLIST]
        order = order[gain[order] > _TINY]
        order = order[np.lexsort((order, -gain[order]))]
        targets, places = np.unravel_index(order, excess.shape)
        means = self._total[targets, places] / (self._count[targets, places] + 0.5 / self._n)
        own = _LEVELS[np.abs(_LEVELS[None] - means[:, None]).argmin(axis=1)].astype(int)
        found = [Item(*m) for m in zip(targets.tolist(), places.tolist(), own.tolist(), strict=True)]
        nearby = [
            Item(item.target, item.context, level)
            for item in found
            for level in levels
            if 0 < abs(level - item.strength) <= _NEIGHBOURING_LEVELS
        ]
        return found + nearby

    def _masks(self, items: Sequence[Item]) -> Matrix:
        return self._targets[[i.target for i in items]] * self._places[[i.context for i in items]]

    def _value(self, predictions: Matrix) -> Vector:
        """Mean of r over the folds. [K]"""
        return np.asarray((self._folds[0].correlations(predictions) + self._folds[1].correlations(predictions)) / 2)

    def _price(self, item: Item, chosen: Sequence[Item], n_clauses: int) -> float:
        price = self._class_prices[item.target]
        if self._borne_out[item.target, item.context] <= 1:
            price += ONE_EXCERPT_PRICE
        if any(other.strength == item.strength and self._joins(item, other) for other in chosen):
            return price + LONGER_LIST
        if n_clauses >= MOST_CLAUSES:
            return _TOO_DEAR
        return price + NEW_CLAUSE + self._place_prices[item.context]

    def _joins(self, item: Item, other: Item) -> bool:
        """Whether one list can hold both: other tokens at one position, or one token after several."""
        if item.context == other.context:
            return True
        here, there = self._proposals.contexts[item.context], self._proposals.contexts[other.context]
        near = isinstance(here, Near) and isinstance(there, Near) and here.reach is there.reach
        return near and item.target == other.target

    def _pruned(self, items: list[Item]) -> list[Item]:
        """Without the items that the others have made needless, the least needed first."""
        while len(items) > 1:
            rows = np.stack([self._predict(items[:k] + items[k + 1 :]) for k in range(len(items))])
            whole = float(self._value(self._predict(items)[None])[0])
            without = self._value(rows)
            k = int(np.argmax(without))
            if whole - float(without[k]) >= DROP_BELOW:
                break
            items = items[:k] + items[k + 1 :]
        return items

    def _predict(self, items: Sequence[Item]) -> Vector:
        strengths = np.array([[i.strength] for i in items], dtype=np.float32)
        return np.asarray((self._masks(items) * strengths).max(axis=0))

    def _clauses(self, items: Sequence[Item]) -> list[Clause]:
        """Items of one strength and position as one list; then one list's positions as a list."""
        lists: dict[tuple[int, int], list[Target]] = {}
        for item in items:
            lists.setdefault((item.strength, item.context), []).append(self._proposals.targets[item.target])
        clauses: list[Clause] = []
        for (strength, place), targets in lists.items():
            context = self._proposals.contexts[place]
            _join(clauses, Clause(strength, tuple(targets), () if context is None else (context,)))
        return sorted(clauses, key=lambda clause: -clause.strength)


def _place_price(context: Context | None) -> float:
    if context is None:
        return 0.0
    if context is Spot.REPEATED:
        return ODD_PLACE_PRICE
    if isinstance(context, Near):
        odd = context.reach is Reach.SECOND or isinstance(context.targets[0], Named)
        return ODD_PLACE_PRICE if odd else PLACE_PRICE
    return PLACE_PRICE


def _join(clauses: list[Clause], new: Clause) -> None:
    """Add a clause, or its neighbour to the clause that makes the same claim of another neighbour."""
    for k, clause in enumerate(clauses):
        if (clause.strength, clause.targets) == (new.strength, new.targets) and clause.contexts and new.contexts:
            old, own = clause.contexts[0], new.contexts[0]
            if isinstance(old, Near) and isinstance(own, Near) and old.reach is own.reach:
                near = Near(old.reach, (*old.targets, *own.targets))
                clauses[k] = Clause(clause.strength, clause.targets, (near,))
                return
    clauses.append(new)
