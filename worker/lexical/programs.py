"""Many explanations as one program: arrays that compiled loops run over the tokens of a corpus.

``compiled`` turns clauses into arrays once; ``worker.lexical.execution`` finds their matches. The result equals that of
``matching.Block``, which evaluates one explanation at a time and is easier to read first.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.domain.arrays import Bools, Int32s
from app.domain.tokens import Vocabulary
from worker.lexical.classes import token_table
from worker.lexical.grammar import Affixed, Clause, Named, Near, Quoted, Reach, Spot, Target
from worker.lexical.matching import affixed_tokens

REACHES = tuple(Reach)
SPOTS = tuple(Spot)
"""Reaches and spots; their codes are their indices here, and a spot's bit is 1 << index."""
EXACT, ANY_CASE = 0, 1
_T = TypeVar("_T")


class Trie(NamedTuple):
    """Quoted texts byte by byte. Node 0 is the root of texts that are matched exactly, node 1 of those in any case.

    The edges of node i are ``edges[i]`` up to ``edges[i + 1]``, in ascending order of ``labels``; the targets that end
    at it are ``ends[i]`` up to ``ends[i + 1]``. ``spaced`` marks an end whose quotation has no leading space, so that a
    token that consists of this space does not begin the match.
    """

    edges: Int32s
    labels: NDArray[np.uint8]
    children: Int32s
    ends: Int32s
    targets: Int32s
    spaced: Bools


class Tokens(NamedTuple):
    """The vocabulary: the bytes of token i are ``text[offsets[i]:offsets[i + 1]]``.

    ``members[held[i]:held[i + 1]]`` are the classes and affixes, as targets, that token i is one of.
    """

    text: NDArray[np.uint8]
    lowered: NDArray[np.uint8]
    offsets: Int32s
    held: Int32s
    members: Int32s
    newline: Bools


class Clauses(NamedTuple):
    """All clauses, explanation by explanation; each ``*_of`` [n + 1] has the offsets of its parts."""

    clauses_of: Int32s
    strengths: NDArray[np.uint8]
    targets_of: Int32s
    targets: Int32s
    spots: Int32s
    """The bits of all spots that a clause requires."""
    nears_of: Int32s
    reaches: Int32s
    neighbours_of: Int32s
    neighbours: Int32s


class Program(NamedTuple):
    """The arrays for compiled loops. ``n_targets`` counts distinct targets, neighbours included."""

    trie: Trie
    tokens: Tokens
    clauses: Clauses
    n_targets: int


def compiled(explanations: Sequence[Sequence[Clause]], vocabulary: Vocabulary) -> Program:
    """The program of these explanations, in order. A target of several explanations is searched once."""
    every = [clause for clauses in explanations for clause in clauses]
    targets = dict.fromkeys(target for clause in every for target in _targets(clause))
    codes = {target: code for code, target in enumerate(targets)}
    quoted = [(target, code) for target, code in codes.items() if isinstance(target, Quoted)]
    others = [(target, code) for target, code in codes.items() if not isinstance(target, Quoted)]
    return Program(
        _trie(quoted), _tokens(others, vocabulary), _clauses(_starts(explanations), every, codes), len(codes)
    )


def _targets(clause: Clause) -> Iterable[Target]:
    yield from clause.targets
    for condition in clause.conditions:
        if isinstance(condition, Near):
            yield from condition.targets


def _starts(lists: Sequence[Sequence[object]]) -> Int32s:
    """The offset at which each list begins in the concatenation of all; the last number is its length."""
    return np.cumsum([0, *(len(items) for items in lists)]).astype(np.int32)


def _codes(lists: Iterable[Sequence[_T]], code: Callable[[_T], int]) -> Int32s:
    """The codes of all lists' items, concatenated."""
    return np.array([code(item) for items in lists for item in items], dtype=np.int32)


def _clauses(clauses_of: Int32s, every: Sequence[Clause], codes: dict[Target, int]) -> Clauses:
    spots = [sum({1 << SPOTS.index(c) for c in clause.conditions if isinstance(c, Spot)}) for clause in every]
    nears = [[condition for condition in clause.conditions if isinstance(condition, Near)] for clause in every]
    neighbours = [near.targets for of_clause in nears for near in of_clause]
    return Clauses(
        clauses_of=clauses_of,
        strengths=np.array([clause.strength for clause in every], dtype=np.uint8),
        targets_of=_starts([clause.targets for clause in every]),
        targets=_codes((clause.targets for clause in every), codes.__getitem__),
        spots=np.array(spots, dtype=np.int32),
        nears_of=_starts(nears),
        reaches=_codes(nears, lambda near: REACHES.index(near.reach)),
        neighbours_of=_starts(neighbours),
        neighbours=_codes(neighbours, codes.__getitem__),
    )


class _Node:
    def __init__(self) -> None:
        self.children: dict[int, _Node] = {}
        self.ends: list[tuple[int, bool]] = []

    def reached(self, text: bytes) -> "_Node":
        node = self
        for byte in text:
            node = node.children.setdefault(byte, _Node())
        return node


def _trie(quoted: Iterable[tuple[Quoted, int]]) -> Trie:
    roots = (_Node(), _Node())
    for target, code in quoted:
        root, text = (roots[ANY_CASE], target.text.lower()) if target.any_case else (roots[EXACT], target.text)
        if text:
            root.reached(text).ends.append((code, False))
            if not text[:1].isspace():
                root.reached(b" " + text).ends.append((code, True))
    nodes: list[_Node] = [*roots]
    numbers = {id(node): number for number, node in enumerate(roots)}
    for node in nodes:  # grows during the loop: breadth first
        for byte in sorted(node.children):
            numbers[id(node.children[byte])] = len(nodes)
            nodes.append(node.children[byte])
    edges = [sorted(node.children) for node in nodes]
    ends = [node.ends for node in nodes]
    return Trie(
        edges=_starts(edges),
        labels=np.array([byte for labels in edges for byte in labels], dtype=np.uint8),
        children=np.array([numbers[id(node.children[b])] for node in nodes for b in sorted(node.children)], np.int32),
        ends=_starts(ends),
        targets=np.array([code for of_node in ends for code, _ in of_node], dtype=np.int32),
        spaced=np.array([spaced for of_node in ends for _, spaced in of_node], dtype=np.bool_),
    )


def _tokens(others: Sequence[tuple[Target, int]], vocabulary: Vocabulary) -> Tokens:
    table = token_table(vocabulary)
    joined = b"".join(vocabulary.tokens)
    flags = [table.members[t.name] if isinstance(t, Named) else _affixed(t, vocabulary) for t, _ in others]
    matrix = np.stack(flags, axis=1) if flags else np.zeros((len(vocabulary), 0), dtype=np.bool_)
    codes = np.array([code for _, code in others], dtype=np.int32)
    return Tokens(
        text=np.frombuffer(joined, dtype=np.uint8),
        lowered=np.frombuffer(joined.lower(), dtype=np.uint8),
        offsets=_starts(vocabulary.tokens),
        held=np.concatenate([[0], np.cumsum(matrix.sum(axis=1))]).astype(np.int32),
        members=codes[np.nonzero(matrix)[1]],
        newline=table.newline,
    )


def _affixed(target: Target, vocabulary: Vocabulary) -> Bools:
    if not isinstance(target, Affixed):
        raise TypeError(f"{target!r} is no affix")
    return affixed_tokens(target, token_table(vocabulary).cores)
