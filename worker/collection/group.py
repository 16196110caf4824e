"""Processes that share one collection under ``torchrun``: each takes a part of the shards, the first one publishes.

Only control, bounds and finished states pass between processes, never activations. Where each process has cards of its
own, states go from card to card over NCCL, tensor by tensor, and all else over gloo; on processors all goes over gloo.
What is merged is merged in the memory of the first process's host.
"""

import os
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
GLOO = "gloo"
LONGEST_WAIT = timedelta(days=7)
"""For the slowest process's pass. One that dies is noticed by torchrun, which ends the others."""


@dataclass(frozen=True, slots=True)
class Group:
    """The processes of one collection. ``rank`` 0 cuts the text, finds the bounds, merges and publishes."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """Among those of this machine."""
    local_size: int = 1
    """Processes of this machine."""
    sends_from_cards: bool = False
    """Whether states go over NCCL."""

    @property
    def part(self) -> Part:
        """The shards of this process."""
        return Part(self.rank, self.size)

    def device(self, setting: str) -> str:
        """The devices of this process: with several on a machine ``auto`` and ``cuda`` are its share of the GPUs."""
        has_gpus = setting in ("auto", "cuda") and torch.cuda.is_available()
        if self.size == 1 or not has_gpus:
            return setting
        cards = cards_of(self.local_rank, self.local_size, torch.cuda.device_count())
        return ",".join(f"cuda:{card}" for card in cards)

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
        card = torch.device("cuda", torch.cuda.current_device()) if self.sends_from_cards else None
        if self.rank > 0:
            _send(mine if card is not None else mine.to(torch.device("cpu")), card)
            return None
        mine = mine.to(torch.device("cpu"))
        for rank in range(1, self.size):
            mine.merge(_received(mine, rank, card))
        return mine


ALONE = Group()


def cards_of(local_rank: int, local_size: int, n_cards: int) -> range:
    """The GPUs of a process: an equal share of those of its machine. Several share one where there are too few."""
    share = max(1, n_cards // local_size)
    start = local_rank * share % n_cards
    return range(start, start + share)


def backend_for(*, local_size: int, n_cards: int, has_nccl: bool) -> str:
    """What processes talk over: NCCL between GPUs where each process has one of its own, else gloo alone.

    Two processes on one GPU cannot use NCCL, which refuses them.
    """
    return "cpu:gloo,cuda:nccl" if has_nccl and n_cards >= local_size > 0 else GLOO


@contextmanager
def joined_group(*, uses_cards: bool = False) -> Iterator[Group]:
    """The group that ``torchrun`` has started this process in, or a group of one. Left at the end.

    ``uses_cards``: whether the processes run models on GPUs where there are any.
    """
    if not dist.is_torchelastic_launched():
        yield ALONE
        return
    local_rank, local_size = (int(os.environ[name]) for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    n_cards = torch.cuda.device_count() if uses_cards and torch.cuda.is_available() else 0
    backend = backend_for(local_size=local_size, n_cards=n_cards, has_nccl=dist.is_nccl_available())
    if backend != GLOO:
        torch.cuda.set_device(cards_of(local_rank, local_size, n_cards)[0])
    dist.init_process_group(backend, timeout=LONGEST_WAIT)
    try:
        yield Group(dist.get_rank(), dist.get_world_size(), local_rank, local_size, sends_from_cards=backend != GLOO)
    finally:
        dist.destroy_process_group()


def _send(state: State, card: torch.device | None) -> None:
    shape = state.shape
    size = [shape.n_layers, shape.neurons, shape.tokens, shape.token_rows]
    dist.send_object_list([size, sorted(state.shards), state.excerpts, state.histogram_excerpts], dst=0)
    for name in sorted(state.tensors):
        sent = state.tensors[name].contiguous()
        dist.send(_raw(sent if card is None else sent.to(card)), dst=0)


def _received(like: State, rank: int, card: torch.device | None) -> State:
    """The state of another process, in this host's memory. ``like`` is of the same collection: of the same shapes."""
    header: list[object] = [None] * 4
    dist.recv_object_list(header, src=rank)
    size, shards, excerpts, in_histogram = header
    tensors = {}
    for name in sorted(like.tensors):
        found = torch.empty_like(like.tensors[name], memory_format=torch.contiguous_format, device=card)
        dist.recv(_raw(found), src=rank)
        tensors[name] = found.cpu()
    shape = Shape(*cast("list[int]", size))
    return State(shape, tensors, set(cast("list[int]", shards)), cast("int", excerpts), cast("int", in_histogram))


def _raw(tensor: torch.Tensor) -> torch.Tensor:
    """The bytes of a tensor: gloo does not know every dtype."""
    return tensor.view(-1).view(torch.uint8)
