"""The context up to each token of an excerpt, as one number: equal contexts mark near-copies within a pass.

Two excerpts whose 8 tokens up to the peak are the same are near-copies (``app.domain.copies``). Equality of these
numbers is an equivalence, so that a pool of distinct texts merges exactly; the other sign, shared shingles, is not,
and is looked for once the pass is over.
"""

import numpy as np

from app.domain.arrays import Int32s, Int64s
from app.domain.copies import SHINGLE, shingle_hashes

NO_CONTEXT = -1
"""Minus this, and minus the ordinal, is the context of fewer than 8 tokens: no other excerpt has it."""


def contexts(token_ids: Int32s, ordinals: Int64s) -> Int64s:
    """For each token of excerpts [B, T] a number that is equal where the 8 tokens up to it are, and only there.

    63-bit hashes; below zero for the first seven tokens, a number for each excerpt.
    """
    found = np.repeat((NO_CONTEXT - ordinals)[:, None], token_ids.shape[1], axis=1)
    if token_ids.shape[1] >= SHINGLE:
        found[:, SHINGLE - 1 :] = (shingle_hashes(token_ids) >> np.uint64(1)).astype(np.int64)
    return found
