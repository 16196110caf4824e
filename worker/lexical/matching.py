"""Where clauses match: excerpts laid end to end, and one flag per token."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from app.domain.arrays import Bools, Float32s, Int32s, Int64s
from app.domain.tokens import Vocabulary
from worker.lexical.classes import token_table
from worker.lexical.grammar import (
    EARLY,
    NOT,
    SHORTLY,
    Affixed,
    AffixKind,
    Clause,
    Condition,
    Named,
    Near,
    Quoted,
    Reach,
    Spot,
    Target,
)

Positions = Int64s


def affixed_tokens(target: Affixed, cores: Sequence[str]) -> Bools:
    """Which texts, without surrounding white space, are letters only and have this part. [len(cores)]"""
    tests = {AffixKind.PREFIX: str.startswith, AffixKind.SUFFIX: str.endswith, AffixKind.INFIX: str.__contains__}
    test = tests[target.kind]
    return np.array([core.isalpha() and bool(test(core, target.text)) for core in cores], dtype=np.bool_)


class Block:
    """The tokens of several excerpts [T_i], concatenated; N tokens in all. No condition reads beyond its excerpt."""

    def __init__(self, excerpts: Sequence[Int32s], vocabulary: Vocabulary) -> None:
        lengths = np.array([len(e) for e in excerpts], dtype=np.int64)
        self.table = token_table(vocabulary)
        self.ids = np.concatenate(excerpts) if len(excerpts) else np.zeros(0, dtype=np.int32)
        self.n = len(self.ids)
        self.ends = np.cumsum(lengths)
        self.index = np.arange(self.n)
        self.start = np.repeat(self.ends - lengths, lengths)
        """Index of the first token of each token's excerpt."""
        self._vocabulary = vocabulary
        self._targets: dict[Target, Bools] = {}

    def token(self, token_id: int) -> bytes:
        """The bytes of a token."""
        return self._vocabulary.tokens[token_id]

    def predict(self, clauses: Sequence[Clause]) -> Float32s:
        """Expected activations 0..10: the strongest clause that matches, or 0 if a negative clause matches. [N]"""
        expected = np.zeros(self.n, dtype=np.float32)
        silenced = np.zeros(self.n, dtype=np.bool_)
        for clause in clauses:
            matched = self.matches(clause)
            if clause.strength == NOT:
                silenced |= matched
            else:
                np.maximum(expected, clause.strength * matched, out=expected)
        expected[silenced] = 0
        return expected

    def matches(self, clause: Clause) -> Bools:
        """Tokens that the clause is about. [N]"""
        found = self.any_of(clause.targets)
        for condition in clause.conditions:
            found = found & self.condition(condition)
        return found

    def any_of(self, targets: Sequence[Target]) -> Bools:
        """Tokens that are one of these targets; of a sequence, its last token. [N]"""
        found = self.target(targets[0])
        for target in targets[1:]:
            found = found | self.target(target)
        return found

    def target(self, target: Target) -> Bools:
        """Tokens that are this target. [N]"""
        if target not in self._targets:
            self._targets[target] = self._find(target)
        return self._targets[target]

    def _find(self, target: Target) -> Bools:
        if isinstance(target, Named):
            return self.table.members[target.name][self.ids]
        if isinstance(target, Affixed):
            return self._affixed(target)
        return self._quoted(target)[1]

    def _affixed(self, target: Affixed) -> Bools:
        known, index = np.unique(self.ids, return_inverse=True)
        return affixed_tokens(target, [self.table.cores[i] for i in known.tolist()])[index]

    @cached_property
    def _bytes(self) -> tuple[bytes, bytes, list[int], list[int]]:
        """All tokens' bytes, the same in lower case, and the token that starts or ends at each offset, or -1."""
        tokens = self._vocabulary.raw(self.ids.tolist())
        joined = b"".join(tokens)
        offsets = np.zeros(self.n + 1, dtype=np.int64)
        np.cumsum(np.fromiter(map(len, tokens), dtype=np.int64, count=self.n), out=offsets[1:])
        starts = np.full(len(joined) + 1, -1, dtype=np.int64)
        ends = np.full(len(joined) + 1, -1, dtype=np.int64)
        starts[offsets[:-1]] = self.index  # of several tokens at one offset, all but the last are empty
        ends[offsets[1:][::-1]] = self.index[::-1]
        return joined, joined.lower(), starts.tolist(), ends.tolist()

    def _quoted(self, target: Quoted) -> tuple[Bools, Bools]:
        """First and last tokens of every occurrence of the text. [N] each"""
        first, last = np.zeros(self.n, dtype=np.bool_), np.zeros(self.n, dtype=np.bool_)
        exact, lowered, starts, ends = self._bytes
        text, haystack = (target.text.lower(), lowered) if target.any_case else (target.text, exact)
        if not text:
            return first, last
        spaced = not text[:1].isspace()
        found: list[tuple[int, int]] = []
        at = haystack.find(text)
        while at >= 0:
            begin = starts[at]
            if begin < 0 and spaced and at > 0 and haystack[at - 1] == 0x20:
                begin = starts[at - 1]
            end = ends[at + len(text)]
            if 0 <= begin <= end:
                found.append((begin, end))
            at = haystack.find(text, at + 1)
        if found:
            begins, ends_found = np.array(found).T
            valid = self.start[begins] == self.start[ends_found]
            if target.any_case:
                valid &= ~self.spot(Spot.IN_WORD)[begins]
            first[begins[valid]] = last[ends_found[valid]] = True
        return first, last

    def condition(self, condition: Condition) -> Bools:
        """Tokens that meet this condition. [N]"""
        if isinstance(condition, Spot):
            return self.spot(condition)
        return self.near(condition.reach, self._neighbours(condition))

    def _neighbours(self, condition: Near) -> Bools:
        """The tokens that are the condition's neighbours; of a sequence the token next to the target. [N]"""
        if condition.reach is not Reach.BEFORE:
            return self.any_of(condition.targets)
        firsts = [self._quoted(t)[0] if isinstance(t, Quoted) else self.target(t) for t in condition.targets]
        return np.asarray(np.logical_or.reduce(firsts))

    def near(self, reach: Reach, neighbours: Bools) -> Bools:
        """Tokens that have one of ``neighbours`` [N] at this reach. [N]"""
        if reach is Reach.NEXT:
            return self.shifted(neighbours, 1)
        if reach is Reach.SECOND:
            return self.shifted(neighbours, 2)
        if reach is Reach.BEFORE:
            found = np.zeros(self.n, dtype=np.bool_)
            found[:-1] = neighbours[1:] & (self.start[1:] == self.start[:-1])
            return found
        last = self._last(neighbours)
        if reach is Reach.SHORTLY:
            return last >= np.maximum(self.start, self.index - SHORTLY)
        if reach is Reach.LINE:
            return (last >= self.start) & (last > self._last_newline)
        return last >= self.start

    def shifted(self, flags: Bools, distance: int) -> Bools:
        """Tokens with a flagged token ``distance`` before them in the same excerpt. [N]"""
        found = np.zeros(self.n, dtype=np.bool_)
        found[distance:] = flags[:-distance] & (self.index[distance:] - distance >= self.start[distance:])
        return found

    def _last(self, flags: Bools) -> Positions:
        """Index of the last flagged token before each token, -1 if none; it may be in an earlier excerpt."""
        marked = np.where(flags, self.index, -1)
        before = np.empty(self.n, dtype=np.int64)
        before[:1] = -1
        np.maximum.accumulate(marked[:-1], out=before[1:])
        return before

    @cached_property
    def _last_newline(self) -> Positions:
        return self._last(self.table.newline[self.ids])

    def spot(self, spot: Spot) -> Bools:
        """Tokens that meet a condition that names no neighbour. [N]"""
        return self._spots[spot]

    @cached_property
    def _spots(self) -> dict[Spot, Bools]:
        table, ids = self.table, self.ids
        letters = table.starts_letter[ids] & self.shifted(table.ends_letter[ids], 1)
        return {
            Spot.LINE_START: self._line_start(),
            Spot.EXCERPT_START: self.index == self.start,
            Spot.IN_WORD: letters,
            Spot.IN_BRACKETS: self._depth() > 0,
            Spot.IN_QUOTES: self._in_quotes(),
            Spot.IN_COMMENT: self.near(Reach.LINE, table.comment[ids]),
            Spot.REPEATED: self._repeated(),
            Spot.INDENTED: self._indented(),
            Spot.EARLY: self.index - self.start < EARLY,
            Spot.LATE: self.index - self.start >= EARLY,
        }

    def _line_start(self) -> Bools:
        """Tokens with nothing but white space between them and the last line break."""
        breaks = self._last(self.table.breaks_line[self.ids])
        solid = self._last(~self.table.blank[self.ids])
        return (breaks >= self.start) & (breaks >= solid) & ~self.table.blank[self.ids]

    def _depth(self) -> Int64s:
        """Unclosed opening brackets before each token, counted from the excerpt's start; never below 0."""
        steps = self.table.opens[self.ids].astype(np.int64)
        total = np.concatenate([[0], np.cumsum(steps)])[:-1] if self.n else np.zeros(0, dtype=np.int64)
        depth = np.zeros(self.n, dtype=np.int64)
        for begin, end in zip([0, *self.ends[:-1].tolist()], self.ends.tolist(), strict=False):
            own = total[begin:end]
            depth[begin:end] = own - np.minimum.accumulate(own)
        return depth

    def _in_quotes(self) -> Bools:
        """Tokens with an odd number of quotation marks before them on their line."""
        marks = np.concatenate([[0], np.cumsum(self.table.quotes[self.ids])]).astype(np.int64)
        line = np.maximum(self.start, self._last_newline + 1)
        inside: Bools = (marks[self.index] - marks[line]) % 2 == 1
        return inside

    def _repeated(self) -> Bools:
        keys = self.start * (int(self.ids.max(initial=0)) + 1) + self.ids
        _, first = np.unique(keys, return_index=True)
        found = np.ones(self.n, dtype=np.bool_)
        found[first] = False
        return found

    def _indented(self) -> Bools:
        """Tokens on an indented line: its break was followed by blanks, as ``
        `` with spaces or a blank token.
        """
        indents = self.table.members["indentation"][self.ids]
        broken = self._last_newline >= self.start
        at = np.maximum(self._last_newline, 0)
        after = np.minimum(at + 1, max(self.n - 1, 0))
        return broken & (indents[at] | (indents[after] & (after < self.index))) if self.n else broken
