"""What a neuron's top excerpts have in common apart from their meaning: documents, positions, groups."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from app.domain.activations import ActivationRecord
from app.domain.clusters import clusters
from app.domain.doubt_rules import EvidenceFacts

MOST_GROUPS = 4
ALIKE_OF = 20
"""Of the excerpts with so many highest peaks, a collection counts near-copies."""


def evidence_facts(
    top: Sequence[ActivationRecord],
    documents: Sequence[int | None],
    *,
    n_documents: int,
    n_alike: int | None,
) -> EvidenceFacts:
    """What follows from the top records. ``documents`` are theirs, None where one is not known.

    ``n_alike`` is the number of near-copies among the ``ALIKE_OF`` highest peaks of the corpus, where it was counted.
    """
    records = [record for record in top if record.activations.size]
    n = len(records)
    if not n:
        return EvidenceFacts()
    known = Counter(document for document in documents if document is not None)
    return EvidenceFacts(
        n_top=n,
        n_documents=n_documents,
        document_share=max(known.values()) / len(documents) if known else None,
        first_token_share=sum(record.peak_index == 0 for record in records) / n,
        copies_share=None if n_alike is None else n_alike / ALIKE_OF,
        outside_share=outside_largest(records),
    )


def outside_largest(records: Sequence[ActivationRecord]) -> float:
    """Share of R records outside of the largest group that is activated by the same tokens.

    An excerpt is the sum of its positive activations for each token; see ``clusters`` for how many groups there are.
    """
    n = len(records)
    token_ids, tokens = np.unique(np.concatenate([r.token_ids for r in records]), return_inverse=True)
    values = np.maximum(np.concatenate([r.activations for r in records]), 0)
    owners = np.repeat(np.arange(n), [len(r.token_ids) for r in records])
    points = np.zeros((n, len(token_ids)), dtype=np.float32)
    np.add.at(points, (owners, tokens), values)
    sizes = np.bincount(clusters(points, most=MOST_GROUPS))
    return float(1 - sizes.max() / n)
