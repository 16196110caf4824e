"""Properties of a neuron's top excerpts other than their meaning: documents, positions, groups."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from app.domain.activations import ActivationRecord
from app.domain.clusters import clusters
from app.domain.doubt_rules import EvidenceFacts

MOST_GROUPS = 4
ALIKE_OF = 20
"""A collection counts near-copies among this many excerpts with the highest peaks."""


def evidence_facts(
    top: Sequence[ActivationRecord],
    documents: Sequence[int | None],
    *,
    n_documents: int,
    n_alike: int | None,
) -> EvidenceFacts:
    """The facts that follow from the top records. ``documents`` has each record's document, None if not known.

    ``n_alike`` is the number of near-copies among the ``ALIKE_OF`` highest peaks of the corpus, None if not counted.
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
    """Share of R records outside of the largest group of records that are activated by the same tokens.

    Each excerpt is represented by the sum of its positive activations for each token; ``clusters`` decides the number
    of groups.
    """
    n = len(records)
    token_ids, tokens = np.unique(np.concatenate([r.token_ids for r in records]), return_inverse=True)
    values = np.maximum(np.concatenate([r.activations for r in records]), 0)
    owners = np.repeat(np.arange(n), [len(r.token_ids) for r in records])
    points = np.zeros((n, len(token_ids)), dtype=np.float32)
    np.add.at(points, (owners, tokens), values)
    sizes = np.bincount(clusters(points, most=MOST_GROUPS))
    return float(1 - sizes.max() / n)
