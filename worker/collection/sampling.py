"""What steers chance in a pass: which excerpts are drawn, and which enter the histogram.

Each pair of an excerpt and a neuron has one uniform number u in [0, 2**31) (``chance.priorities``, turned round). The
pool ``uniform`` keeps the excerpts with the lowest u. The pool ``weighted`` keeps those with the lowest u / 2**level
among excerpts with a high peak (``bounds``), so that of each octave of the upper tenth about as many are drawn. Both
are bottom-k samples: given the k-th lowest key, an excerpt was drawn exactly where its own key is lower, so that its
inclusion probability is known (Cohen and Kaplan, "Summarizing data using bottom-k sketches", 2007). Both keep the
same whatever the grouping and order of a pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Int32, Int64
from torch import Tensor

from app.domain.arrays import Int32s, Int64s
from worker.collection.best import NEVER, sortable
from worker.collection.bounds import TOP_SEEN, Bounds, pilot_size
from worker.collection.chance import hash32
from worker.collection.contexts import contexts
from worker.collection.state import TOP, UNIFORM, WEIGHTED
from worker.collection.token_sums import TokenRows

_OFFERED = 1.3
"""Times the size of a pool are offered to it. A pool that is not filled by them is a fair draw as well."""
_LEVELS = 7
_SURELY_ENOUGH = 20
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
        return cls(seed, n_excerpts, min(64, max(1, n_excerpts // 2048)))

    def floor(self, offered: float) -> int:
        """A priority that about ``offered`` of all excerpts exceed; ``NEVER`` where there are no more than that.

        What does not exceed it needs no look: it was not drawn.
        """
        wanted = offered / self.n_excerpts
        return NEVER if wanted >= 1 else int((1 - wanted) * 2**31)

    @property
    def chance_floors(self) -> Mapping[str, int]:
        """What keys must exceed from the beginning, by pool of chance."""
        return {
            "uniform": self.floor(_OFFERED * UNIFORM),
            # Each level brings a tenth of what its floor is for; a corpus has seven levels and more.
            "weighted": self.floor(_OFFERED * WEIGHTED * 10 / _LEVELS),
        }

    def floors(self, bounds: Bounds) -> Mapping[str, Int32[Tensor, " n"]]:
        """What keys must exceed from the beginning, by pool, [N] each.

        In a long corpus far more excerpts than the pools by peak hold reach ``bounds.top``.
        """
        floors = {
            name: torch.full_like(bounds.top, floor, dtype=torch.int32) for name, floor in self.chance_floors.items()
        }
        if self.n_excerpts * TOP_SEEN >= _SURELY_ENOUGH * TOP * pilot_size(self.n_excerpts):
            floors["top"] = floors["leaders"] = sortable(bounds.top) - 1
        return floors


@dataclass(frozen=True, slots=True)
class BatchTokens:
    """Numbers of the tokens of a batch, [B, T]: the context up to each (``contexts``), the row of its sums.

    ``seen`` are the distinct rows, ``counts`` their occurrences.
    """

    contexts: Int64[Tensor, "batch tokens"]
    rows: Int32[Tensor, "batch tokens"]
    seen: Int64s
    counts: Int64s

    @classmethod
    def of(cls, token_contexts: Int64[Tensor, "batch tokens"], rows: Int32[Tensor, "batch tokens"]) -> "BatchTokens":
        """The tokens with these contexts and rows."""
        seen, counts = np.unique(rows.cpu().numpy(), return_counts=True)
        return cls(token_contexts, rows, seen.astype(np.int64), counts)


@dataclass(frozen=True, slots=True)
class Excerpted:
    """The excerpts of one batch: ordinals, hashes, and which of them enter the histogram."""

    ordinals: Int64[Tensor, " batch"]
    hashes: Int32[Tensor, " batch"]
    in_histogram: Bool[Tensor, " batch"]
    known_tokens: BatchTokens | None = None

    @classmethod
    def of(cls, ordinals: Int64s, sampling: Sampling, device: torch.device) -> "Excerpted":
        """The excerpts with these ordinals."""
        chosen = hash32(sampling.seed, _HISTOGRAM, ordinals).numpy().view(np.uint32) % sampling.histogram_every == 0
        return cls(
            torch.from_numpy(ordinals).to(device),
            hash32(sampling.seed, _EXCERPT, ordinals).to(device),
            torch.from_numpy(chosen),
        )

    def reading(self, token_ids: Int32s, rows: TokenRows) -> "Excerpted":
        """The same with the numbers of their tokens [B, T]."""
        device = self.ordinals.device
        found = contexts(token_ids, self.ordinals.cpu().numpy())
        tokens = BatchTokens.of(torch.from_numpy(found).to(device), torch.from_numpy(rows.of(token_ids)).to(device))
        return replace(self, known_tokens=tokens)

    @property
    def tokens(self) -> BatchTokens:
        """The numbers of their tokens. Raises TypeError where these were not requested."""
        if self.known_tokens is None:
            raise TypeError("the tokens of these excerpts were not read")
        return self.known_tokens

    def part(self, first: int, last: int) -> "Excerpted":
        """Some of the excerpts."""
        if first == 0 and last == len(self.ordinals):
            return self
        own = slice(first, last)
        tokens = BatchTokens.of(self.tokens.contexts[own], self.tokens.rows[own])
        return Excerpted(self.ordinals[own], self.hashes[own], self.in_histogram[own], tokens)
