"""Processes that share one collection under ``torchrun``: each reads a part of the shards, the first one publishes.

Processes exchange only control messages, bounds and finished states, never activations. If each process has its own
GPU, states go from GPU to GPU over NCCL, tensor by tensor, and everything else over gloo; otherwise everything goes
over gloo. States are merged in the memory of the first process's host.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar, cast

import torch
import torch.distributed as dist

from worker.collection.passes import Part
from worker.collection.state import Shape, State
from worker.devices import AUTO

T = TypeVar("T")
LONGEST_WAIT = timedelta(days=7)
"""Longest wait for the slowest process's pass. If a process dies, torchrun notices and ends the others."""


@dataclass(frozen=True, slots=True)
class Group:
    """The processes of one collection. ``rank`` 0 cuts the text, finds the bounds, merges and publishes."""

    rank: int = 0
    size: int = 1
    cards: tuple[int, ...] = ()
    """The GPUs of this process by CUDA index; empty if the model runs elsewhere or a device is named."""
    nccl: dist.ProcessGroup | None = field(default=None, compare=False)
    """The NCCL group over which states are sent between GPUs; None if they are sent over gloo."""

    @property
    def part(self) -> Part:
        """The shards of this process."""
        return Part(self.rank, self.size)

    def device(self, setting: str) -> str:
        """The devices of this process: its share of the GPUs, or the setting."""
        return ",".join(f"cuda:{card}" for card in self.cards) or setting

    @property
    def link_device(self) -> torch.device:
        """The device of a state's tensors while they are sent and received."""
        return torch.device("cuda", self.cards[0]) if self.nccl is not None else torch.device("cpu")

    def from_first(self, make: Callable[[], T]) -> T:
        """The return value of ``make``, called in the first process, in all processes."""
        if self.size == 1:
            return make()
        sent: list[T | None] = [make() if self.rank == 0 else None]
        dist.broadcast_object_list(sent, src=0)
        return cast("T", sent[0])

    def wait(self) -> None:
        """Wait until all processes have reached this call."""
        if self.size > 1:
            dist.barrier()

    def merged(self, mine: State) -> State | None:
        """The merged states of all processes, in the first process; None in the others.

        States are received one after the other, so that at most two are in memory. The merge is exact, so order does
        not matter.
        """
        if self.size == 1:
            return mine
        if self.rank > 0:
            _send(self, mine)
            return None
        mine = mine.to(torch.device("cpu"))
        for rank in range(1, self.size):
            mine.merge(_received(self, mine, rank))
        return mine


ALONE = Group()


@contextmanager
def joined_group(setting: str = "cpu") -> Iterator[Group]:
    """The group in which ``torchrun`` started this process, or a group of one. The group is left at the end.

    ``setting`` is the setting ``device``; with ``auto`` and ``cuda``, processes share the GPUs of their machine.
    """
    if not dist.is_torchelastic_launched():
        yield ALONE
        return
    dist.init_process_group(dist.Backend.GLOO, timeout=LONGEST_WAIT)
    try:
        rank, size = dist.get_rank(), dist.get_world_size()
        seen: list[tuple[str, ...]] = [()] * size
        dist.all_gather_object(seen, cards_seen(setting))
        shares = cards_of(seen)
        nccl = None
        if have_cards_of_their_own(seen, shares) and dist.is_nccl_available():
            torch.cuda.set_device(shares[rank][0])
            nccl = dist.new_group(backend=dist.Backend.NCCL, timeout=LONGEST_WAIT)
        yield Group(rank, size, shares[rank], nccl)
    finally:
        dist.destroy_process_group()


def cards_seen(setting: str) -> tuple[str, ...]:
    """The identities of the GPUs that this process may use, in CUDA's order; empty if a device is named."""
    if setting not in (AUTO, "cuda") or not torch.cuda.is_available():
        return ()
    return tuple(str(torch.cuda.get_device_properties(card).uuid) for card in range(torch.cuda.device_count()))


def cards_of(seen: Sequence[tuple[str, ...]]) -> list[tuple[int, ...]]:
    """The GPUs of each process, from the GPUs that each can see.

    Processes that see the same GPUs are on one machine and get equal shares. If there are fewer GPUs than processes,
    several processes use the same one.
    """
    shares = []
    for rank, cards in enumerate(seen):
        share = max(1, len(cards) // seen.count(cards))
        start = seen[:rank].count(cards) * share
        shares.append(tuple(number % len(cards) for number in range(start, start + share)) if cards else ())
    return shares


def have_cards_of_their_own(seen: Sequence[tuple[str, ...]], shares: Sequence[tuple[int, ...]]) -> bool:
    """Whether every process has a GPU of its own. NCCL refuses two processes on one GPU."""
    firsts = [cards[share[0]] for cards, share in zip(seen, shares, strict=True) if share]
    return len(set(firsts)) == len(seen)


def _send(group: Group, state: State) -> None:
    """Send a state to the first process. Sending the header waits until that process receives it."""
    shape = state.shape
    size = [shape.n_layers, shape.neurons, shape.tokens, shape.token_rows]
    dist.send_object_list([size, sorted(state.shards), state.excerpts, state.histogram_excerpts], dst=0)
    for name in sorted(state.tensors):
        dist.send(_raw(state.tensors[name].to(group.link_device).contiguous()), dst=0, group=group.nccl)


def _received(group: Group, like: State, rank: int) -> State:
    """The state of another process, in this host's memory. ``like`` is a state of the same shapes."""
    header: list[object] = [None] * 4
    dist.recv_object_list(header, src=rank)
    size, shards, excerpts, in_histogram = header
    tensors = {}
    for name in sorted(like.tensors):
        mine = like.tensors[name]
        found = torch.empty_like(mine, memory_format=torch.contiguous_format, device=group.link_device)
        dist.recv(_raw(found), src=rank, group=group.nccl)
        tensors[name] = found.cpu()
    shape = Shape(*cast("list[int]", size))
    return State(shape, tensors, set(cast("list[int]", shards)), cast("int", excerpts), cast("int", in_histogram))


def _raw(tensor: torch.Tensor) -> torch.Tensor:
    """The bytes of a tensor, since gloo does not support every dtype."""
    return tensor.view(-1).view(torch.uint8)
