"""Processes that share one collection under ``torchrun``: each takes a part of the shards, the first one publishes.

Only control, bounds and finished states pass between processes, never activations, so all of it goes over gloo, on
GPUs as well: what is merged is merged in the memory of the first process's host.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar, cast

import torch
import torch.distributed as dist

from worker.collection.passes import Part
from worker.collection.state import Shape, State

T = TypeVar("T")
LONGEST_WAIT = timedelta(days=7)
"""For the slowest process's pass. One that dies is noticed by torchrun, which ends the others."""


@dataclass(frozen=True, slots=True)
class Group:
    """The processes of one collection. ``rank`` 0 cuts the text, finds the bounds, merges and publishes."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """Among those of this machine."""

    @property
    def part(self) -> Part:
        """The shards of this process."""
        return Part(self.rank, self.size)

    def device(self, setting: str) -> str:
        """The device of this process: with several on a machine ``auto`` and ``cuda`` are a GPU each."""
        has_gpus = setting in ("auto", "cuda") and torch.cuda.is_available()
        return f"cuda:{self.local_rank}" if self.size > 1 and has_gpus else setting

    def from_first(self, make: Callable[[], T]) -> T:
        """What ``make`` returns in the first process, in all of them."""
        if self.size == 1:
            return make()
        sent: list[T | None] = [make() if self.rank == 0 else None]
        dist.broadcast_object_list(sent, src=0)
        return cast("T", sent[0])

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.barrier()

    def merged(self, mine: State) -> State | None:
        """The states of all processes as one, in the first process; None in the others.

        One after the other, so that memory holds two at most. The merge is exact: the order does not matter.
        """
        if self.size == 1:
            return mine
        mine = mine.to(torch.device("cpu"))
        if self.rank > 0:
            _send(mine)
            return None
        for rank in range(1, self.size):
            mine.merge(_received(mine, rank))
        return mine


ALONE = Group()


@contextmanager
def joined_group() -> Iterator[Group]:
    """The group that ``torchrun`` has started this process in, or a group of one. Left at the end."""
    if not dist.is_torchelastic_launched():
        yield ALONE
        return
    dist.init_process_group("gloo", timeout=LONGEST_WAIT)
    try:
        yield Group(dist.get_rank(), dist.get_world_size(), dist.get_node_local_rank(fallback_rank=0))
    finally:
        dist.destroy_process_group()


def _send(state: State) -> None:
    shape = state.shape
    size = [shape.n_layers, shape.neurons, shape.tokens, shape.token_rows]
    dist.send_object_list([size, sorted(state.shards), state.excerpts, state.histogram_excerpts], dst=0)
    for name in sorted(state.tensors):
        dist.send(_raw(state.tensors[name].contiguous()), dst=0)


def _received(like: State, rank: int) -> State:
    """The state of another process. ``like`` is one of the same collection: its tensors have the same shapes."""
    header: list[object] = [None] * 4
    dist.recv_object_list(header, src=rank)
    size, shards, excerpts, in_histogram = header
    tensors = {}
    for name in sorted(like.tensors):
        tensors[name] = torch.empty_like(like.tensors[name], memory_format=torch.contiguous_format)
        dist.recv(_raw(tensors[name]), src=rank)
    shape = Shape(*cast("list[int]", size))
    return State(shape, tensors, set(cast("list[int]", shards)), cast("int", excerpts), cast("int", in_histogram))


def _raw(tensor: torch.Tensor) -> torch.Tensor:
    """The bytes of a tensor: gloo does not know every dtype."""
    return tensor.view(-1).view(torch.uint8)
