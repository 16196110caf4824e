"""Explanations that are wrong in a known way, made from right ones: controls for scorers and reviewers.

They are never shown as explanations. Every kind keeps the right sentence's strengths, form and language if possible.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product
from math import log

import numpy as np

from app.domain.arrays import Bools, Int32s
from app.domain.tokens import Vocabulary
from worker.lexical.classes import CLASSES
from worker.lexical.grammar import (
    ANY,
    NOT,
    Affixed,
    AffixKind,
    Clause,
    Condition,
    Named,
    Near,
    Quoted,
    Reach,
    Target,
    sentence,
)
from worker.lexical.matching import Block
from worker.lexical.parser import executable

_WIDE_OF_MARK = 1.5
"""Tolerance: a text that should claim k times as many tokens may claim k / 1.5 to k * 1.5 times as many."""
_MOST_TRIED = 400
_BROADEST = Named("words"), Named("punctuation"), ANY


class PlantedKind(StrEnum):
    """The fault of a planted explanation."""

    SWAPPED = "swapped"
    """The text of another neuron of the same layer."""
    NEAREST = "nearest"
    """The text of the neuron in the layer that shares most of its strongest tokens."""
    TWICE_TOO_BROAD = "twice_too_broad"
    TEN_TIMES_TOO_BROAD = "ten_times_too_broad"
    """A text that claims ten times as many tokens: conditions dropped, tokens widened to their class."""
    TOO_NARROW = "too_narrow"
    """A text that leaves out half of the right one's claims."""
    SHIFTED = "shifted"
    """A text in which every claim is moved to the following token."""


BROADER: Mapping[PlantedKind, float] = {PlantedKind.TWICE_TOO_BROAD: 2.0, PlantedKind.TEN_TIMES_TOO_BROAD: 10.0}


@dataclass(frozen=True, slots=True)
class Peer:
    """Another neuron of the layer with its explanation and its strongest tokens."""

    text: str
    tokens: frozenset[int]


class Planter:
    """Makes wrong explanations of one layer's neurons. Claims are counted in ``excerpts`` of the corpus."""

    def __init__(self, excerpts: Sequence[Int32s], vocabulary: Vocabulary) -> None:
        self._block = Block(excerpts, vocabulary)

    def planted(
        self, text: str, *, tokens: frozenset[int], peers: Sequence[Peer], seed: int
    ) -> Mapping[PlantedKind, str]:
        """One wrong text of every kind that can be made from this text.

        ``tokens`` are the neuron's strongest. A kind that cannot be made is missing, such as half of a single claim.
        Equal seeds give equal texts; no two are equal, and none is the right one. Empty for a text that cannot be
        executed.
        """
        clauses = executable(text)
        if not clauses:
            return {}
        generator = np.random.default_rng(seed)
        nearest = _nearest(tokens, peers)
        found: dict[PlantedKind, str | None] = {
            PlantedKind.NEAREST: nearest,
            PlantedKind.SWAPPED: _swapped([peer for peer in peers if peer.text not in (text, nearest)], generator),
            PlantedKind.TOO_NARROW: _said(_half(clauses, generator)),
            PlantedKind.SHIFTED: _said(shifted(clauses)),
        }
        for kind, factor in BROADER.items():
            found[kind] = _said(self.broader(clauses, factor, generator))
        right = sentence(clauses)
        distinct: dict[PlantedKind, str] = {}
        for kind, wrong in found.items():
            if wrong is not None and wrong not in (text, right, *distinct.values()):
                distinct[kind] = wrong
        return distinct

    def broader(
        self, clauses: Sequence[Clause], factor: float, generator: np.random.Generator
    ) -> tuple[Clause, ...] | None:
        """Clauses that claim about ``factor`` times as many tokens, including all of ``clauses``; None if none is
        close.

        Of all ways to drop conditions and widen tokens, the one closest to ``factor`` is chosen.
        """
        own = self._claimed(clauses)
        n_own = int(np.count_nonzero(own))
        if n_own == 0:
            return None
        best, distance = None, log(_WIDE_OF_MARK)
        for tried in _sampled(list(self._widened(clauses)), generator):
            claimed = self._claimed(tried)
            n = int(np.count_nonzero(claimed))
            off = abs(log(n / n_own / factor)) if n > n_own and claimed[own].all() else np.inf
            if off < distance:
                best, distance = tried, off
        return best

    def _claimed(self, clauses: Sequence[Clause]) -> Bools:
        """The tokens with an expected activation above 0."""
        return np.asarray(self._block.predict(clauses) > 0)

    def _widened(self, clauses: Sequence[Clause]) -> Iterator[tuple[Clause, ...]]:
        """All combinations of clauses: unchanged, without conditions, or with wider targets."""
        forms = [list(self._forms(clause)) for clause in clauses]
        yield from product(*forms)

    def _forms(self, clause: Clause) -> Iterator[Clause]:
        yield clause
        if clause.strength == NOT:
            return
        conditions: list[tuple[Condition, ...]] = [clause.conditions]
        if clause.conditions:
            conditions.append(())
            yield replace(clause, conditions=())
        for wider in self._wider(clause.targets):
            for kept in conditions:
                yield Clause(clause.strength, wider, kept)

    def _wider(self, targets: tuple[Target, ...]) -> Iterator[tuple[Target, ...]]:
        """Wider targets that include all of these: one widened to a class or an affix, or all to one class."""
        for i, target in enumerate(targets):
            for wide in self._wide(target):
                yield tuple(dict.fromkeys((*targets[:i], wide, *targets[i + 1 :])))
        for wide in _BROADEST:
            yield (wide,)

    def _wide(self, target: Target) -> Iterator[Target]:
        """The classes that contain a quoted token, and its beginnings and endings."""
        if isinstance(target, Named):
            return
        text = target.text if isinstance(target, Affixed) else target.text.decode("utf-8", errors="replace")
        core = text.strip()
        if isinstance(target, Quoted):
            yield from (Named(c.name) for c in CLASSES if c.name != ANY.name and c.matches(core, text))
        for length in range(1, len(core)):
            if core.isalpha():
                yield Affixed(AffixKind.PREFIX, core[:length])
                yield Affixed(AffixKind.SUFFIX, core[-length:])


def _sampled(tried: Sequence[tuple[Clause, ...]], generator: np.random.Generator) -> Iterator[tuple[Clause, ...]]:
    """A random selection in random order: a long sentence has more combinations than can be tried."""
    for i in generator.permutation(len(tried))[:_MOST_TRIED].tolist():
        yield tried[i]


def _swapped(peers: Sequence[Peer], generator: np.random.Generator) -> str | None:
    readable = [peer.text for peer in peers if executable(peer.text)]
    return readable[int(generator.integers(len(readable)))] if readable else None


def _nearest(tokens: frozenset[int], peers: Sequence[Peer]) -> str | None:
    """The text of the peer with the largest share of common tokens (Jaccard index); None if none has a common token."""
    shares = [len(tokens & peer.tokens) / max(1, len(tokens | peer.tokens)) for peer in peers]
    order = sorted(range(len(peers)), key=lambda i: (-shares[i], i))
    return next((peers[i].text for i in order if shares[i] > 0 and executable(peers[i].text)), None)


def _half(clauses: Sequence[Clause], generator: np.random.Generator) -> tuple[Clause, ...] | None:
    """Half of all targets of the clauses, rounded down; None if there is only one."""
    items = [(i, target) for i, clause in enumerate(clauses) if clause.strength != NOT for target in clause.targets]
    if len(items) < 2:
        return None
    kept = {items[i] for i in generator.permutation(len(items))[: len(items) // 2].tolist()}
    halved = []
    for i, clause in enumerate(clauses):
        targets = tuple(t for t in clause.targets if clause.strength == NOT or (i, t) in kept)
        if targets:
            halved.append(replace(clause, targets=targets))
    return tuple(halved)


def shifted(clauses: Sequence[Clause]) -> tuple[Clause, ...] | None:
    """Claims about the token after each claimed one; None if that is nearly the same.

    The conditions of a claim are dropped, except for the tokens directly before its own.
    """
    moved = []
    for clause in clauses:
        if clause.strength == NOT:
            continue
        first = clause.conditions[0] if clause.conditions else None
        if clause.targets != (ANY,):
            moved.append(Clause(clause.strength, (ANY,), (Near(Reach.NEXT, clause.targets),)))
        elif isinstance(first, Near) and first.reach is Reach.NEXT:
            moved.append(Clause(clause.strength, (ANY,), (Near(Reach.SECOND, first.targets),)))
        else:
            return None
    return tuple(moved)


def _said(clauses: tuple[Clause, ...] | None) -> str | None:
    return None if clauses is None else sentence(clauses)
