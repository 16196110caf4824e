"""The search for the few proposals that together predict a neuron best: greedy, with a price per claim."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.domain.arrays import Bools, Float64s, Int64s
from worker.lexical.evidence import CORPUS, Evidence
from worker.lexical.grammar import (
    Affixed,
    Clause,
    Named,
    Near,
    Spot,
    condition_words,
    target_phrase,
)
from worker.lexical.proposals import Proposals
from worker.lexical.search_loops import SMALLEST_VARIANCE, Weighted, add_up, lists_of, state_levels, values_of
from worker.lexical.wording import (
    contradicts,
    in_order_of_kinds,
    in_order_of_strengths,
    is_blank,
    is_letter,
    is_odd,
    quoted_alike,
)

LEVELS = (0, 1, 3, 7)
"""The strengths that are written: "very weakly", "weakly" and no word.

With two more, every second claim would begin with another word, and sentences would predict no better.
"""
MOST_ITEMS = 12
LONG_LIST = 5
MOST_CLAUSES = 4
USUAL_CLAUSES = 3


@dataclass(frozen=True, slots=True)
class Prices:
    """The least gain in correlation for which each part of a sentence is kept."""

    clause: float = 0.005
    beyond_usual: float = 2.0
    """Factor for each claim after the usual three."""
    item: float = 0.001
    """One more item of a list."""
    long_list: float = 0.0012
    """The same if the list already has ``LONG_LIST`` items."""
    letter: float = 0.006
    """A quotation of one letter, which hardly helps a reader."""
    blank: float = 0.03
    """A quotation of white space, which helps a reader even less."""
    character: float = 0.00036
    named: float = 0.002
    condition: float = 0.012
    """A condition: few records show one, while tokens have been counted over the whole corpus."""
    odd_condition: float = 0.01
    """A condition that correlates by chance more often than because the neuron follows it."""
    one_excerpt: float = 0.01
    """A claim that only one excerpt shows."""
    very_weak: float = 0.005
    """A claim of the lowest strength."""
    least: float = 0.004
    """The gain that a claim must still have given all others."""


PRICES = Prices()
MOST_EXAGGERATED = 3.0
"""The most that a strength may exceed the mean activation over the corpus, as a factor."""
_ACTIVE_SHARE = 0.25
_SHOWN_TWICE = 2
_NEVER = 10.0


@dataclass(frozen=True, slots=True)
class Item:
    """One target under one condition at one level, as indices into the proposals and ``LEVELS``."""

    target: int
    condition: int
    level: int


class Search:
    """One neuron's search. Each step tries every target under every condition at every strength."""

    def __init__(self, evidence: Evidence, proposals: Proposals, prices: Prices = PRICES) -> None:
        self._proposals, self._prices = proposals, prices
        block, table = evidence.block, evidence.table
        n_table = evidence.n_rows - block.n
        self._targets = np.stack(
            [np.concatenate([block.target(t), table.target(t)]) for t in proposals.targets], axis=1
        )
        # A table's token counts under no condition: where its occurrences are is not known.
        nowhere = np.zeros(n_table, dtype=np.bool_)
        everywhere = np.ones(evidence.n_rows, dtype=np.bool_)
        self._conditions = np.stack(
            [everywhere if c is None else np.concatenate([block.condition(c), nowhere]) for c in proposals.conditions],
            axis=1,
        )
        self._lists = lists_of(self._targets), lists_of(self._conditions)
        self._rows = _weighted(evidence)
        self._borne_out = self._excerpts_behind(evidence)
        shape = (len(proposals.targets), len(proposals.conditions), len(LEVELS))
        self._sums = np.zeros((*shape, len(evidence.weights), 2))
        self._found = np.zeros(shape)
        self._stated = np.zeros(shape, dtype=np.bool_)
        self._words = _Words.of(proposals, prices)

    def _excerpts_behind(self, evidence: Evidence) -> Float64s:
        """Number of excerpts in which the neuron fires on each target under each condition. [K, C]

        A token of the table counts as shown: its mean is over the whole corpus.
        """
        block = evidence.block
        values = evidence.activations[: block.n]
        active = np.flatnonzero(values >= _ACTIVE_SHARE * values.max())
        found = np.zeros((self._targets.shape[1], self._conditions.shape[1]))
        for rows in np.split(active, np.flatnonzero(np.diff(block.start[active])) + 1):
            found += (self._targets[rows].T.astype(np.float32) @ self._conditions[rows].astype(np.float32)) > 0
        found[self._targets[block.n :].any(axis=0), 0] += _SHOWN_TWICE
        return found

    def run(self) -> list[Item]:
        """The items of the sentence; none if no item is worth its price."""
        items: list[Item] = []
        best = 0.0
        while len(items) < MOST_ITEMS:
            item, gain = self._best_step(items)
            if gain <= best:
                break
            items.append(item)
            best = self.value(items)
        return self._pruned(items)

    def _best_step(self, items: Sequence[Item]) -> tuple[Item, float]:
        """The item with the largest gain after its price, and the sentence's value with the item."""
        predicted = self._predict(items)
        add_up(*self._lists, self._rows, predicted, self._sums)
        levels = np.array(LEVELS, dtype=np.float64)
        state_levels(self._sums, CORPUS, levels, MOST_EXAGGERATED, self._stated)
        values_of(self._sums, self._moments(predicted), self._rows, levels, self._stated, self._found)
        worth = np.where(self._stated, self._found - self._price(items), -_NEVER)
        target, condition, level = np.unravel_index(int(np.argmax(worth)), worth.shape)
        return Item(int(target), int(condition), int(level)), float(worth[target, condition, level])

    def _price(self, items: Sequence[Item]) -> Float64s:
        """The price of each further item. [K, C, L]"""
        prices, words = self._prices, self._words
        once = np.where(self._borne_out < _SHOWN_TWICE, prices.one_excerpt, 0.0)
        n_clauses = len(_grouped(items))
        clause = prices.clause * (prices.beyond_usual if n_clauses >= USUAL_CLAUSES else 1.0)
        new = words.target[:, None] + words.condition[None, :] + once + clause
        if n_clauses >= MOST_CLAUSES:
            new[:] = _NEVER
        price = np.repeat(new[:, :, None], len(LEVELS), axis=2)
        price[:, :, 1] += prices.very_weak
        price[0, 0] = _NEVER  # any token anywhere: says nothing
        lengths = {key: len(own) for key, own in _grouped(items).items()}
        for item in items:
            long = prices.long_list if lengths[item.condition, item.level] >= LONG_LIST else 0.0
            price[:, item.condition, item.level] = words.target + once[:, item.condition] + prices.item + long
        price[words.absurd] = _NEVER
        for item in items:
            price[self._same_text(item.target)] = _NEVER
            for condition in self._joined_conditions(item, items):
                price[item.target, condition, item.level] = (
                    words.neighbour[condition] + once[item.target, condition] + prices.item
                )
        return price

    def _same_text(self, target: int) -> Bools:
        """The targets that quote what this one quotes: one token is never quoted twice. [K]"""
        return np.asarray(self._words.keys == self._words.keys[target], dtype=np.bool_)

    def _joined_conditions(self, item: Item, items: Sequence[Item]) -> list[int]:
        """Conditions that can join the item's own in one list: other neighbours of one target at the same reach."""
        own = self._proposals.conditions[item.condition]
        alone = sum((i.condition, i.level) == (item.condition, item.level) for i in items) == 1
        if not isinstance(own, Near) or not alone:
            return []
        taken = {i.condition for i in items if i.target == item.target}
        return [
            condition
            for condition, other in enumerate(self._proposals.conditions)
            if isinstance(other, Near) and other.reach is own.reach and condition not in taken
        ]

    def _moments(self, predicted: Int64s) -> Float64s:
        """Weighted mean, mean square and mean product with the activations of a prediction, in each view. [V, 3]"""
        levels = np.array(LEVELS, dtype=np.float64)[predicted]
        rows = np.stack([levels, levels * levels, levels * self._rows.activations], axis=1)
        return np.asarray(self._rows.weights @ rows)

    def correlations(self, items: Sequence[Item]) -> Float64s:
        """Pearson's r of a sentence in each view; 0 where either side is constant. [V]"""
        mean, square, product = self._moments(self._predict(items)).T
        variance = square - mean * mean
        defined = (variance > SMALLEST_VARIANCE) & (self._rows.variances > SMALLEST_VARIANCE)
        scale = np.sqrt(np.where(defined, variance * self._rows.variances, 1))
        return np.asarray(np.where(defined, (product - self._rows.means * mean) / scale, 0))

    def value(self, items: Sequence[Item]) -> float:
        """The value of a sentence: its correlations combined over the views."""
        return float(self._rows.importance @ self.correlations(items))

    def _predict(self, items: Sequence[Item]) -> Int64s:
        predicted = np.zeros(len(self._targets), dtype=np.int64)
        for item in items:
            matched = self._targets[:, item.target] & self._conditions[:, item.condition]
            np.maximum(predicted, item.level * matched, out=predicted)
        return predicted

    def _pruned(self, items: list[Item]) -> list[Item]:
        """The items without those that others have made superfluous, the least needed removed first."""
        while len(items) > 1:
            whole = self.value(items)
            without = [self.value(items[:k] + items[k + 1 :]) for k in range(len(items))]
            k = int(np.argmax(without))
            if whole - without[k] >= self._prices.least:
                break
            items = items[:k] + items[k + 1 :]
        return items

    def clauses(self, items: Sequence[Item]) -> list[Clause]:
        """The items as clauses: those of one strength and condition joined, then clauses that differ in one neighbour.

        The clause that explains most comes first.
        """
        whole = self.value(items) if items else 0.0
        clauses: list[tuple[float, Clause]] = []
        for (index, level), own in _grouped(items).items():
            condition = self._proposals.conditions[index]
            targets = in_order_of_kinds([self._proposals.targets[item.target] for item in own])
            worth = whole - self.value([item for item in items if item not in own])
            _join(clauses, (worth, Clause(LEVELS[level], targets, () if condition is None else (condition,))))
        return in_order_of_strengths([clause for _, clause in sorted(clauses, key=lambda pair: -pair[0])])


def _weighted(evidence: Evidence) -> Weighted:
    means = evidence.weights @ evidence.activations
    squares = evidence.weights @ evidence.activations**2
    variances = squares - means * means
    # a variance from rounding of constant values counts as none
    variances[variances <= SMALLEST_VARIANCE * squares] = 0
    return Weighted(evidence.activations, evidence.weights, means, variances, evidence.importance)


def _grouped(items: Sequence[Item]) -> dict[tuple[int, int], list[Item]]:
    """The items of each list, by condition and level."""
    lists: dict[tuple[int, int], list[Item]] = {}
    for item in items:
        lists.setdefault((item.condition, item.level), []).append(item)
    return lists


@dataclass(frozen=True, slots=True)
class _Words:
    """Prices of the words of targets [K] and conditions [C]; ``neighbour`` [C] for one more neighbour."""

    target: Float64s
    condition: Float64s
    neighbour: Float64s
    keys: NDArray[np.object_]
    """[K]; the same for targets that quote the same text."""
    absurd: Bools
    """[K, C]; which target no reader would expect under which condition."""

    @classmethod
    def of(cls, proposals: Proposals, prices: Prices) -> "_Words":
        odd = [prices.odd_condition if is_odd(c) else 0.0 for c in proposals.conditions]
        lengths = [
            0 if condition is None else len(condition_words(condition)) + 1 for condition in proposals.conditions
        ]
        own = [0 if c is None else len(c.value if isinstance(c, Spot) else c.reach.value) for c in proposals.conditions]
        named = [prices.named if isinstance(t, Named | Affixed) else 0.0 for t in proposals.targets]
        pieces = [prices.letter * is_letter(t) + prices.blank * is_blank(t) for t in proposals.targets]
        keys = np.empty(len(proposals.targets), dtype=object)
        keys[:] = [quoted_alike(target) for target in proposals.targets]
        # all targets that are not classes are alike here, and most proposals are quotations
        kinds = [target if isinstance(target, Named) else None for target in proposals.targets]
        one_of_each = dict(zip(kinds, proposals.targets, strict=True))
        absurd = {kind: [contradicts(t, c) for c in proposals.conditions] for kind, t in one_of_each.items()}
        return cls(
            target=np.array([prices.character * (len(target_phrase(t)) + 2) for t in proposals.targets])
            + named
            + pieces,
            condition=np.array(lengths) * prices.character + odd + prices.condition * (np.array(lengths) > 0),
            neighbour=(np.array(lengths) - own + 2) * prices.character + odd,
            keys=keys,
            absurd=np.array([absurd[kind] for kind in kinds], dtype=np.bool_),
        )


def _join(clauses: list[tuple[float, Clause]], new: tuple[float, Clause]) -> None:
    """Add a clause, or add its neighbour to a clause that differs only in that."""
    worth, clause = new
    for k, (other, old) in enumerate(clauses):
        if (old.strength, old.targets) == (clause.strength, clause.targets) and old.conditions and clause.conditions:
            first, own = old.conditions[0], clause.conditions[0]
            if isinstance(first, Near) and isinstance(own, Near) and first.reach is own.reach:
                near = Near(first.reach, (*first.targets, *own.targets))
                clauses[k] = (other + worth, Clause(old.strength, old.targets, (near,)))
                return
    clauses.append(new)
