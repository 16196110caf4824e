"""Processes that share one collection under ``torchrun``: each takes a part of the shards, the first one publishes.

Only control, bounds and finished states pass between processes, never activations. Where each process has a GPU of its
own, states go from GPU to GPU over NCCL, tensor by tensor, and all else over gloo; elsewhere all of it goes over gloo.
What is merged is merged in the memory of the first process's host.
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
"""For the slowest process's pass. One that dies is noticed by torchrun, which ends the others."""


@dataclass(frozen=True, slots=True)
class Group:
    """The processes of one collection. ``rank`` 0 cuts the text, finds the bounds, merges and publishes."""

    rank: int = 0
    size: int = 1
    cards: tuple[int, ...] = ()
    """The GPUs of this process, as CUDA numbers them; none where models run elsewhere or on a device that is named."""
    nccl: dist.ProcessGroup | None = field(default=None, compare=False)
    """What states go over between GPUs; None where they go over gloo."""

    @property
    def part(self) -> Part:
        """The shards of this process."""
        return Part(self.rank, self.size)

    def device(self, setting: str) -> str:
        """The devices of this process: its share of the GPUs, or what is set."""
        return ",".join(f"cuda:{card}" for card in self.cards) or setting

    @property
    def link_device(self) -> torch.device:
        """Where the tensors of states are while they are sent and received."""
        return torch.device("cuda", self.cards[0]) if self.nccl is not None else torch.device("cpu")

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
    """The group that ``torchrun`` has started this process in, or a group of one. Left at the end.

    ``setting`` is the device that is set; with ``auto`` and ``cuda`` processes share the GPUs of their machine.
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
    """The identities of the GPUs that this process may use, in CUDA's order; none where a device is named."""
    if setting not in (AUTO, "cuda") or not torch.cuda.is_available():
        return ()
    return tuple(str(torch.cuda.get_device_properties(card).uuid) for card in range(torch.cuda.device_count()))


def cards_of(seen: Sequence[tuple[str, ...]]) -> list[tuple[int, ...]]:
    """The GPUs of each process, by what each sees.

    Those that see the same GPUs are on one machine and have equal shares of them. Where there are fewer GPUs than
    processes, several use the same one.
    """
    shares = []
    for rank, cards in enumerate(seen):
        share = max(1, len(cards) // seen.count(cards))
        start = seen[:rank].count(cards) * share
        shares.append(tuple(number % len(cards) for number in range(start, start + share)) if cards else ())
    return shares


def have_cards_of_their_own(seen: Sequence[tuple[str, ...]], shares: Sequence[tuple[int, ...]]) -> bool:
    """Whether every process has a GPU that no other one has. NCCL refuses two processes on one GPU."""
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
    """The state of another process, in this host's memory. ``like`` is of the same collection: of the same shapes."""
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
    """The bytes of a tensor: gloo does not know every dtype."""
    return tensor.view(-1).view(torch.uint8)
