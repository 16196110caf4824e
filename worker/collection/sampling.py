"""What steers chance in a pass: which excerpts are offered to pools, and which enter the histogram."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int32, Int64
from numpy.typing import NDArray
from torch import Tensor

from worker.collection.best import NEVER, sortable
from worker.collection.bounds import HIGH_SHARE, HIGHEST_SHARE, Bounds
from worker.collection.chance import hash32

_OFFERED = 80
_EXCERPT, _HISTOGRAM = 1, 4


@dataclass(frozen=True, slots=True)
class Sampling:
    """What steers chance. ``histogram_every``: one excerpt in so many enters the histogram.

    Sorting every value of every token into bins would cost more than all other statistics together;
    a share of the excerpts, chosen by hash, gives the same picture.
    """

    seed: int
    n_excerpts: int
    histogram_every: int

    @classmethod
    def of(cls, seed: int, n_excerpts: int) -> "Sampling":
        """At least 2,048 excerpts (131,072 tokens of 64), or all of them, enter the histogram."""
        return cls(seed, n_excerpts, min(16, max(1, n_excerpts // 2048)))

    def floor(self, share: float) -> int:
        """A priority that about 80 of the excerpts exceed, where ``share`` of all are eligible.

        The best 20 are among them (fewer than 20 of 80 expected: less than 1 in 10**15), so all others
        need no look.
        """
        wanted = _OFFERED / (share * self.n_excerpts)
        return NEVER if wanted >= 1 else int((1 - wanted) * 2**31)

    def floors(self, bounds: Bounds) -> Int32[Tensor, " rows"]:
        """What keys must exceed from the beginning, in the order of ``POOLS``, [5 * N].

        In a long corpus the top 20 are far above ``highest``, which a hundredth of all excerpts reach.
        """
        n = bounds.highest.shape[0]
        everywhere = self.floor(1)
        lots = self.n_excerpts * HIGHEST_SHARE >= _OFFERED
        top = sortable(bounds.highest) - 1 if lots else torch.full_like(bounds.highest, NEVER, dtype=torch.int32)
        chance = torch.tensor([everywhere, everywhere, self.floor(HIGH_SHARE), self.floor(HIGHEST_SHARE)])
        return torch.cat([top, chance.to(torch.int32).to(top.device).repeat_interleave(n)])


@dataclass(frozen=True, slots=True)
class Excerpted:
    """The excerpts of one batch: ordinals, hashes, and which of them enter the histogram."""

    ordinals: Int64[Tensor, " batch"]
    hashes: Int32[Tensor, " batch"]
    in_histogram: Bool[Tensor, " batch"]

    @classmethod
    def of(cls, ordinals: NDArray[np.int64], sampling: Sampling, device: torch.device) -> "Excerpted":
        """The excerpts with these ordinals."""
        chosen = hash32(sampling.seed, _HISTOGRAM, ordinals).numpy().view(np.uint32) % sampling.histogram_every == 0
        return cls(
            torch.from_numpy(ordinals).to(device),
            hash32(sampling.seed, _EXCERPT, ordinals).to(device),
            torch.from_numpy(chosen),
        )
