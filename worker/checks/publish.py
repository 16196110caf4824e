"""Conversion of a check's finished state to the stored results of each explanation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from app.domain.activations import finite_halves
from app.domain.arrays import Float16s, Int64s
from app.domain.executed import MISTAKE_TOKENS, LevelCounts, Mistake, NeuronTotals, execution
from app.domain.tokens import Vocabulary
from app.queries.checks.store import CheckResult, KeptMistakes, Moments
from worker.checks.checker import Executable
from worker.checks.state import KINDS, N_KINDS, CheckState
from worker.collection import exact
from worker.collection.best import ordinals_of
from worker.collection.plan import Excerpts
from worker.lexical.grammar import sentence
from worker.lexical.matching import Block


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished check, ready to be stored."""

    state: CheckState
    explanations: Sequence[Executable]
    moments: Moments
    excerpts: Excerpts
    vocabulary: Vocabulary

    def ordinals(self) -> Int64s:
        """The excerpts in which any stored mistake is, ascending."""
        found = np.unique(ordinals_of(self.state.best.scores).numpy())
        return found[found >= 0]

    def results(self, ids: dict[int, int]) -> Iterator[CheckResult]:
        """The stored results of each explanation; ``ids`` maps ordinals to ids of excerpts."""
        sums = exact.total(self.state.tensors["sums"]).numpy()
        tokens, firing = (self.state.tensors[name].numpy() for name in ("tokens", "firing"))
        best = self.state.best.ordered()
        ordinals, values = ordinals_of(best.scores).numpy(), best.values.numpy()
        for number, executable in enumerate(self.explanations):
            counts = LevelCounts(tokens[number], firing[number], sums[number])
            own = execution(self._totals(executable), counts)
            totals = {Mistake.FALSE_ALARM: own.n_false_alarms, Mistake.MISS: own.n_misses}
            mistakes = {}
            for rank, kind in enumerate(KINDS):
                row = N_KINDS * number + rank
                shown = [(o, v) for o, v in zip(ordinals[row].tolist(), values[row], strict=True) if o >= 0]
                mistakes[kind] = self._kept(executable, row, totals[kind], shown, ids)
            yield CheckResult(executable.id, sentence(executable.clauses), own, mistakes)

    def _totals(self, executable: Executable) -> NeuronTotals:
        at = (executable.layer, executable.index)
        return NeuronTotals(
            n_tokens=self.state.excerpts * self.state.shape.tokens,
            mean=float(self.moments.mean[at]),
            variance=float(self.moments.variance[at]),
            n_firing=int(self.state.tensors["n_firing"][at]),
        )

    def _kept(
        self,
        executable: Executable,
        row: int,
        n_tokens: int,
        shown: Sequence[tuple[int, Float16s]],
        ids: dict[int, int],
    ) -> KeptMistakes:
        rows = list(self.excerpts.tokens(np.array([ordinal for ordinal, _ in shown], dtype=np.int64)))
        expected = Block(rows, self.vocabulary).predict(executable.clauses)
        return KeptMistakes(
            n_tokens=n_tokens,
            tokens=self._tokens(row),
            excerpt_ids=[ids[ordinal] for ordinal, _ in shown],
            # larger values are stored as the largest float16, as in a collection's samples
            activations=[finite_halves(v).astype(np.float32) for _, v in shown],
            expected=np.split(expected, len(rows)) if rows else [],
        )

    def _tokens(self, row: int) -> list[tuple[int, int]]:
        """The tokens with the most mistakes; ties go to the lower id."""
        keys, counts = (tensor.numpy() for tensor in self.state.tallies)
        size = len(self.vocabulary)
        begin, end = np.searchsorted(keys, [row * size, (row + 1) * size])
        order = np.argsort(-counts[begin:end], kind="stable")[:MISTAKE_TOKENS]
        return list(zip((keys[begin:end][order] % size).tolist(), counts[begin:end][order].tolist(), strict=True))
