"""Compiled loops that find what a program claims. A tile is some whole excerpts, laid end to end."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.domain.arrays import Bools, Int32s, Int64s
from app.domain.tokens import Vocabulary
from worker.compiled_loops import compiled_loop
from worker.lexical.grammar import SHORTLY, Reach, Spot
from worker.lexical.matching import Block
from worker.lexical.programs import ANY_CASE, EXACT, REACHES, SPOTS, Program

_NEXT, _SECOND, _SHORTLY, _LINE, _ANYWHERE, _BEFORE = (
    REACHES.index(reach)
    for reach in (Reach.NEXT, Reach.SECOND, Reach.SHORTLY, Reach.LINE, Reach.ANYWHERE, Reach.BEFORE)
)
_SPACE = 0x20
SILENCED = np.uint8(255)
"""The level of a token that a claim with "not" matches."""


class Tile(NamedTuple):
    """N tokens, and where a program's targets are among them.

    ``begins`` and ``ends`` [N] are the first token of a token's excerpt and the one after its last. ``spots`` [N]
    are bits. Target i is at ``offsets[i]`` up to ``offsets[i + 1]``: its first and its last token.
    """

    ids: Int32s
    begins: Int32s
    ends: Int32s
    spots: Int32s
    offsets: Int32s
    firsts: Int32s
    lasts: Int32s


class Scratch(NamedTuple):
    """Room to work in, [N] each. ``levels`` is 0 throughout between explanations."""

    levels: NDArray[np.uint8]
    touched: Int32s
    stamps: Int64s
    stamp: Int64s
    """One number: the highest stamp in use."""


def tile_of(excerpts: Sequence[Int32s], vocabulary: Vocabulary, program: Program) -> Tile:
    """Whole excerpts of token ids [T_i], laid end to end, with all targets found."""
    block = Block(excerpts, vocabulary)
    lengths = np.array([len(e) for e in excerpts], dtype=np.int64)
    begins, ends = block.start.astype(np.int32), np.repeat(block.ends, lengths).astype(np.int32)
    spots = np.zeros(block.n, dtype=np.int32)
    for code, spot in enumerate(SPOTS):
        spots |= block.spot(spot).astype(np.int32) << code
    ids = block.ids.astype(np.int32)
    in_word = block.spot(Spot.IN_WORD)
    nothing = np.zeros(0, dtype=np.int32)
    counts = np.zeros(program.n_targets + 1, dtype=np.int32)
    find_targets(program, (ids, ends, in_word), counts[1:], nothing, nothing)
    offsets = np.cumsum(counts, dtype=np.int32)
    firsts, lasts = np.empty((2, int(offsets[-1])), dtype=np.int32)
    find_targets(program, (ids, ends, in_word), offsets[:-1].copy(), firsts, lasts)
    return Tile(ids, begins, ends, spots, offsets, firsts, lasts)


def scratch_for(n: int) -> Scratch:
    """Room for tiles of up to ``n`` tokens."""
    return Scratch(
        np.zeros(n, dtype=np.uint8), np.zeros(n, dtype=np.int32), np.zeros(n, dtype=np.int64), np.zeros(1, np.int64)
    )


@compiled_loop
def find_targets(
    program: Program,
    tokens: tuple[Int32s, Int32s, Bools],
    cursors: Int32s,
    firsts: Int32s,
    lasts: Int32s,
) -> None:
    """Move each target's cursor by one for each match; where there is room, write the match at the cursor.

    ``tokens`` are the ids, the ends of their excerpts, and whether they continue a word.
    """
    ids = tokens[0]
    vocabulary = program.tokens
    fill = lasts.shape[0] > 0
    for p in range(ids.shape[0]):
        token = ids[p]
        for k in range(vocabulary.held[token], vocabulary.held[token + 1]):
            target = vocabulary.members[k]
            if fill:
                firsts[cursors[target]] = lasts[cursors[target]] = p
            cursors[target] += 1
        _find_texts(program, EXACT, tokens, p, cursors, (firsts, lasts))
        if not tokens[2][p]:
            _find_texts(program, ANY_CASE, tokens, p, cursors, (firsts, lasts))


@compiled_loop
def _find_texts(
    program: Program,
    root: int,
    tokens: tuple[Int32s, Int32s, Bools],
    first: int,
    cursors: Int32s,
    found: tuple[Int32s, Int32s],
) -> None:
    """The quoted texts that begin with token ``first``. An empty token begins and ends nothing."""
    ids, ends = tokens[0], tokens[1]
    trie, offsets = program.trie, program.tokens.offsets
    text = program.tokens.text if root == EXACT else program.tokens.lowered
    length = offsets[ids[first] + 1] - offsets[ids[first]]
    if length == 0:
        return
    is_space = length == 1 and text[offsets[ids[first]]] == _SPACE
    node, p = root, first
    while p < ends[first] and trie.edges[node] < trie.edges[node + 1]:
        begin, end = offsets[ids[p]], offsets[ids[p] + 1]
        for k in range(begin, end):
            node = _child(trie.edges, trie.labels, trie.children, node, text[k])
            if node < 0:
                return
        if end > begin:
            for k in range(trie.ends[node], trie.ends[node + 1]):
                if not (is_space and trie.spaced[k]):
                    target = trie.targets[k]
                    if found[1].shape[0] > 0:
                        found[0][cursors[target]] = first
                        found[1][cursors[target]] = p
                    cursors[target] += 1
        p += 1


@compiled_loop
def _child(edges: Int32s, labels: NDArray[np.uint8], children: Int32s, node: int, byte: int) -> int:
    """The node at the end of an edge, -1 without such an edge. A binary search: the roots have many edges."""
    low, high = edges[node], edges[node + 1]
    while low < high:
        middle = (low + high) // 2
        if labels[middle] < byte:
            low = middle + 1
        else:
            high = middle
    found = low < edges[node + 1] and labels[low] == byte
    return int(children[low]) if found else -1


@compiled_loop
def claim(program: Program, explanation: int, tile: Tile, scratch: Scratch) -> int:
    """Set the levels of the tokens that an explanation claims, 1..10 or ``SILENCED``; returns how many it touched.

    ``scratch.touched`` holds them in ascending order. Call ``forget`` before the next explanation.
    """
    clauses, n_touched = program.clauses, 0
    for clause in range(clauses.clauses_of[explanation], clauses.clauses_of[explanation + 1]):
        strength = clauses.strengths[clause]
        level = SILENCED if strength == 0 else strength
        wanted = _stamp_conditions(program, clause, tile, scratch)
        spots = clauses.spots[clause]
        for k in range(clauses.targets_of[clause], clauses.targets_of[clause + 1]):
            target = clauses.targets[k]
            for match in range(tile.offsets[target], tile.offsets[target + 1]):
                p = tile.lasts[match]
                if (wanted == 0 or scratch.stamps[p] == wanted) and tile.spots[p] & spots == spots:
                    if scratch.levels[p] == 0:
                        scratch.touched[n_touched] = p
                        n_touched += 1
                    scratch.levels[p] = max(scratch.levels[p], level)
    scratch.touched[:n_touched].sort()
    return n_touched


@compiled_loop
def forget(scratch: Scratch, n_touched: int) -> None:
    """Set the touched levels back to 0."""
    for k in range(n_touched):
        scratch.levels[scratch.touched[k]] = 0


@compiled_loop
def _stamp_conditions(program: Program, clause: int, tile: Tile, scratch: Scratch) -> int:
    """Stamp the tokens that have all neighbours that a clause names; returns the stamp, 0 where it names none."""
    clauses = program.clauses
    begin, end = clauses.nears_of[clause], clauses.nears_of[clause + 1]
    if begin == end:
        return 0
    stamp = scratch.stamp[0] + 1
    for near in range(begin, end):
        # The first near stamps every token it reaches; each further one only those that the one before has stamped.
        required = stamp if near > begin else -1
        stamp += 1
        for k in range(clauses.neighbours_of[near], clauses.neighbours_of[near + 1]):
            target = clauses.neighbours[k]
            for match in range(tile.offsets[target], tile.offsets[target + 1]):
                _stamp_reached(program, clauses.reaches[near], (tile, match), scratch.stamps, (required, stamp))
    scratch.stamp[0] = stamp
    return int(stamp)


@compiled_loop
def _stamp_reached(
    program: Program, reach: int, neighbour: tuple[Tile, int], stamps: Int64s, change: tuple[int, int]
) -> None:
    """Stamp the tokens that have this neighbour at this reach."""
    tile, match = neighbour
    required, stamp = change
    first, last = tile.firsts[match], tile.lasts[match]
    begin, end = last + 1, last + 2
    if reach == _SECOND:
        begin, end = last + 2, last + 3
    elif reach == _SHORTLY:
        end = last + SHORTLY + 1
    elif reach == _BEFORE:
        begin, end = max(first - 1, tile.begins[first]), first
    elif reach == _LINE:
        end = last + 1 if program.tokens.newline[tile.ids[last]] else tile.ends[last]
    elif reach == _ANYWHERE:
        end = tile.ends[last]
    for p in range(begin, min(end, tile.ends[last])):
        if reach in (_LINE, _ANYWHERE) and stamps[p] == stamp:
            return  # an earlier neighbour has stamped what follows
        if required < 0 or stamps[p] == required:
            stamps[p] = stamp
        if reach == _LINE and program.tokens.newline[tile.ids[p]]:
            return
