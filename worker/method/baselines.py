"""The baselines that every score is compared with."""

from collections.abc import Iterable

from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind, Split
from app.domain.results import SimulatedExcerpt
from app.domain.token_table import TokenTable


def token_table(records: NeuronRecords) -> TokenTable | None:
    """The mean activation of each token, without the held-out records.

    Over the whole corpus if a collection has counted it, otherwise over the train records; None if there are none.
    """
    if records.tokens is not None:
        return records.open_tokens
    train = records.of(SampleKind.TOP, Split.TRAIN)
    return TokenTable.of_records(train) if train else None


def token_lookup(records: NeuronRecords, excerpts: Iterable[ActivationRecord]) -> tuple[SimulatedExcerpt, ...]:
    """The prediction of a neuron's token table, in the model's units: each token at its mean activation."""
    table = token_table(records)
    return tuple(
        SimulatedExcerpt(r.excerpt_id, len(r.token_ids), None, "the neuron has no train records")
        if table is None
        else SimulatedExcerpt(r.excerpt_id, len(r.token_ids), table.expected(r.token_ids))
        for r in excerpts
    )
