"""One pass of a subject over the shards of a corpus, into the state of a check."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from app.domain.arrays import Float64s
from app.domain.tokens import Vocabulary
from worker.checks.checker import Checker, Executable
from worker.checks.state import CheckShape, CheckState, load_check, save_check
from worker.collection.checkpoint import Open, open_for_writing
from worker.collection.passes import BatchSize, Forward, Part, Saver, Tell
from worker.collection.plan import Excerpts, Plan
from worker.collection.sampling import Excerpted, Sampling


@dataclass(frozen=True, slots=True)
class CheckPass:
    """The input of a check other than its state. ``maxima`` [layers, neurons] are over the whole corpus."""

    forward: Forward
    plan: Plan
    excerpts: Excerpts
    explanations: Sequence[Executable]
    maxima: Float64s
    vocabulary: Vocabulary
    batch: BatchSize

    @property
    def shape(self) -> CheckShape:
        """The size of the state."""
        n_layers, neurons = self.maxima.shape
        return CheckShape(len(self.explanations), n_layers, neurons, self.plan.context_length)

    def run(self, part: Part, folder: Path, tell: Tell, opener: Open = open_for_writing) -> CheckState:
        """Run the shards of ``part``, resuming from the state in ``folder``; returns the finished state.

        If memory runs out, the batch size is halved and the pass returns to the last saved state, because a part of the
        batch may already have been added.
        """
        file = part.file(folder)
        while True:
            state = load_check(file, self.shape) or CheckState.empty(self.shape)
            checker = Checker(state, self.explanations, self.maxima, self.vocabulary)
            try:
                self._run(checker, part.shards(self.plan), Saver(partial(_save, checker, file, opener)), tell)
                return state
            except torch.OutOfMemoryError as error:
                del state, checker
                self.batch.halve(error)

    def _run(self, checker: Checker, shards: range, saver: Saver, tell: Tell) -> None:
        missing = [shard for shard in shards if shard not in checker.state.shards]
        tell(checker.state.excerpts * self.plan.context_length)
        for shard in missing:
            self._shard(checker, shard, tell)
            if shard == missing[-1] or saver.is_due():
                saver.save()

    def _shard(self, checker: Checker, shard: int, tell: Tell) -> None:
        ordinals = np.array(self.plan.shard(shard), dtype=np.int64)
        # The seed does not matter: a check draws none of the samples of a collection.
        sampling = Sampling(seed=0, n_excerpts=self.plan.n_excerpts, histogram_every=1)
        checker.begin()
        for first in range(0, len(ordinals), self.batch.excerpts):
            batch = ordinals[first : first + self.batch.excerpts]
            rows = self.excerpts.tokens(batch)
            checker.read(list(rows))
            excerpts = Excerpted.of(batch, sampling, torch.device("cpu"))
            self.forward(torch.from_numpy(rows).to(torch.int64), partial(checker.add, excerpts))
            tell((checker.state.excerpts + first + len(batch)) * self.plan.context_length)
        checker.end(shard, len(ordinals))


def _save(checker: Checker, file: Path, opener: Open) -> None:
    checker.settle()
    save_check(file, checker.state, opener)
