"""The pass itself: forward passes over shards of excerpts, into a state."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from app.domain.arrays import Int64s
from app.errors import CollectionError
from worker.collection.bounds import Pilot, pilot_size, stacked
from worker.collection.chance import lowest
from worker.collection.checkpoint import Open, load_state, open_for_writing, save_state
from worker.collection.plan import Excerpts, Plan
from worker.collection.reducer import Reducer
from worker.collection.sampling import Excerpted, Sampling
from worker.collection.state import Shape, State
from worker.collection.token_sums import TokenRows
from worker.subjects.hooks import OnLayer

Tell: TypeAlias = Callable[[int], None]
"""Function that receives the number of tokens processed."""
Forward: TypeAlias = Callable[[Tensor, OnLayer], None]
"""Function that runs token ids [batch, tokens] and hands on each layer's activations [batch, tokens, neurons]."""
SAVING_SHARE = 200
"""A state is saved at the end of a shard once the pass has run this many times the duration of a save."""
_PILOT = 5


@dataclass(slots=True)
class BatchSize:
    """Excerpts per forward pass; halved when memory runs out."""

    excerpts: int
    halved: int = 0

    def halve(self, error: torch.OutOfMemoryError) -> None:
        """Halve the batch. Raises CollectionError if it is already one excerpt."""
        if self.excerpts == 1:
            raise CollectionError(f"A single excerpt does not fit into the device's memory: {error}") from error
        self.excerpts //= 2
        self.halved += 1
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@dataclass(frozen=True, slots=True)
class Part:
    """One of several processes that share a collection: it reads every ``of``-th shard."""

    number: int = 0
    of: int = 1

    def shards(self, plan: Plan) -> range:
        """The shards of this part."""
        return range(self.number, plan.n_shards, self.of)

    def file(self, folder: Path) -> Path:
        """The file of its state."""
        return folder / f"state-{self.number}-of-{self.of}.bin"


@dataclass(frozen=True, slots=True)
class Pass:
    """The input of a pass other than its state."""

    forward: Forward
    plan: Plan
    excerpts: Excerpts
    shape: Shape
    sampling: Sampling
    token_rows: TokenRows
    batch: BatchSize
    device: torch.device

    @property
    def pilot_size(self) -> int:
        """The number of excerpts that the pilot looks at."""
        return pilot_size(self.plan.n_excerpts)

    def pilot(self, tell: Tell = lambda tokens: None) -> dict[str, Tensor]:
        """Run the model on a few excerpts of the whole corpus; see ``bounds``."""
        chosen = lowest(self.sampling.seed, _PILOT, self.plan.n_excerpts, self.pilot_size)
        while True:
            try:
                return self._look_at(chosen, tell)
            except torch.OutOfMemoryError as error:
                self.batch.halve(error)

    def run(
        self, bounds: dict[str, Tensor], part: Part, folder: Path, tell: Tell, opener: Open = open_for_writing
    ) -> State:
        """Read all shards of ``part``, resuming from the state in ``folder``. Returns the finished state.

        If memory runs out, the batch size is halved and the pass returns to the last saved state, because a part of the
        batch may already have been added.
        """
        while True:
            state = load_state(part.file(folder), self.device) or State.empty(self.shape, self.device)
            saver = Saver(partial(save_state, part.file(folder), state, opener))
            try:
                self._run(state, bounds, part.shards(self.plan), saver, tell)
                return state
            except torch.OutOfMemoryError as error:
                del state, saver
                self.batch.halve(error)

    def _look_at(self, chosen: Int64s, tell: Tell) -> dict[str, Tensor]:
        pilots = [Pilot() for _ in range(self.shape.n_layers)]
        done = 0
        for ordinals in self._batches(chosen):
            self.forward(self._tokens(ordinals), lambda layer, a: pilots[layer].add(a.to(self.device)))
            done += len(ordinals)
            tell(done * self.shape.tokens)
        return stacked(pilot.bounds() for pilot in pilots)

    def _run(self, state: State, bounds: dict[str, Tensor], shards: range, saver: "Saver", tell: Tell) -> None:
        reducer = Reducer(state, bounds, self.sampling)
        tell(state.excerpts * self.shape.tokens)
        missing = [shard for shard in shards if shard not in state.shards]
        for shard in missing:
            self._shard(reducer, shard, tell)
            if shard == missing[-1] or saver.is_due():
                reducer.settle()
                saver.save()

    def _shard(self, reducer: Reducer, shard: int, tell: Tell) -> None:
        ordinals = np.array(self.plan.shard(shard), dtype=np.int64)
        reducer.begin()
        done = in_histogram = 0
        for batch in self._batches(ordinals):
            token_ids = self.excerpts.tokens(batch)
            excerpts = Excerpted.of(batch, self.sampling, self.device).reading(token_ids, self.token_rows)
            self.forward(torch.from_numpy(token_ids).to(torch.int64), partial(reducer.add, excerpts))
            done += len(batch)
            in_histogram += int(excerpts.in_histogram.sum())
            tell((reducer.state.excerpts + done) * self.shape.tokens)
        reducer.end(shard, done, in_histogram)

    def _batches(self, ordinals: Int64s) -> Iterator[Int64s]:
        for first in range(0, len(ordinals), self.batch.excerpts):
            yield ordinals[first : first + self.batch.excerpts]

    def _tokens(self, ordinals: Int64s) -> Tensor:
        return torch.from_numpy(self.excerpts.tokens(ordinals)).to(torch.int64)


class Saver:
    """Saves often enough to lose little work, but for at most half a percent of the time."""

    def __init__(self, save: Callable[[], None]) -> None:
        self._save = save
        self._ended = monotonic()
        self._took = 0.0

    def is_due(self) -> bool:
        """Whether a save now takes little time in proportion."""
        return monotonic() - self._ended >= self._took * SAVING_SHARE

    def save(self) -> None:
        """Write the state."""
        begun = monotonic()
        self._save()
        self._ended = monotonic()
        self._took = self._ended - begun
