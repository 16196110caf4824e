"""The context up to each token of an excerpt, as one number: equal contexts mark near-copies within a pass.

Two excerpts with the same 8 tokens up to the peak are near-copies (``app.domain.copies``). This relation is transitive,
so that pools of distinct texts merge exactly. The other criterion, shared shingles, is not transitive and is applied
once the pass is over.
"""

import numpy as np

from app.domain.arrays import Int32s, Int64s
from app.domain.copies import SHINGLE, shingle_hashes

NO_CONTEXT = -1
"""Contexts of fewer than 8 tokens are minus this, minus the ordinal, so that no other excerpt has the same."""


def contexts(token_ids: Int32s, ordinals: Int64s) -> Int64s:
    """For each token of excerpts [B, T], a number that is equal if and only if the 8 tokens up to it are equal.

    63-bit hashes; for the first seven tokens, a negative number that is different for each excerpt.
    """
    found = np.repeat((NO_CONTEXT - ordinals)[:, None], token_ids.shape[1], axis=1)
    if token_ids.shape[1] >= SHINGLE:
        found[:, SHINGLE - 1 :] = (shingle_hashes(token_ids) >> np.uint64(1)).astype(np.int64)
    return found
