"""What stands beside every score to say how much it is worth."""

from collections.abc import Iterable, Sequence

import numpy as np

from app.domain.activations import ActivationRecord
from app.domain.results import SimulatedExcerpt


def token_lookup(
    train: Sequence[ActivationRecord], excerpts: Iterable[ActivationRecord]
) -> tuple[SimulatedExcerpt, ...]:
    """What a table of each token's mean activation in the train records predicts, in the model's units.

    A token that the table does not hold is expected at rest: the median over all train tokens.
    """
    tokens = np.concatenate([r.token_ids for r in train])
    values = np.concatenate([r.activations for r in train]).astype(np.float64)
    known, inverse = np.unique(tokens, return_inverse=True)
    means = np.bincount(inverse, values) / np.bincount(inverse)
    rest = float(np.median(values))
    answers = []
    for record in excerpts:
        place = np.minimum(np.searchsorted(known, record.token_ids), len(known) - 1)
        expected = np.where(known[place] == record.token_ids, means[place], rest).astype(np.float32)
        answers.append(SimulatedExcerpt(record.excerpt_id, len(expected), expected))
    return tuple(answers)
