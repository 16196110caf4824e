"""What is known of a neuron, as weighted rows that claims are judged on: tokens of its records, and its token table.

The same rows are seen in several views, each a distribution over them. Two are near the 2023 score: top and random
excerpts weigh the same. The third is the whole corpus: records that were drawn with a known probability stand for the
excerpts of their stratum, and the table's tokens for all their occurrences.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.domain.activations import ActivationRecord, NeuronRecords
from app.domain.arrays import Float64s, Int32s
from app.domain.estimates import DrawnExcerpt, weigh
from app.domain.samples import SampleKind
from app.domain.token_table import TokenTable
from app.domain.tokens import Vocabulary
from worker.lexical.matching import Block

VIEWS = ("train", "calibration", "corpus")
CORPUS = VIEWS.index("corpus")
IMPORTANCE = (0.2, 0.2, 0.6)
"""Of each view in what a sentence is worth."""
TABLE_ROWS = 128
"""Tokens of the table that are looked at, those that explain most of the neuron's variance."""
TRUSTED_OCCURRENCES = 256.0
"""So many occurrences among the records weigh as much as the table's mean for what a token does."""
BANDS_WEIGHT = 1.0
LOOKALIKES_WEIGHT = 0.15
"""Small: they are the excerpts that are hardest to separate, and rare in text."""


@dataclass(frozen=True, slots=True)
class Group:
    """Records that weigh ``weight`` together, in one fold alone or dealt to both in turn."""

    name: str
    records: tuple[ActivationRecord, ...]
    weight: float
    fold: int | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """R rows: the N tokens of all records laid end to end, then M tokens of the table, each alone.

    ``activations`` [R] on the scale 0..10. ``weights`` [V, R], each view's add up to 1, or to 0 where it is not known.
    ``drawn`` [N] says which tokens stand for the corpus.
    """

    block: Block
    table: Block
    activations: Float64s
    weights: Float64s
    importance: Float64s
    n_train: int
    """Rows of the train records, which come first."""

    @property
    def n_rows(self) -> int:
        """The number of rows, R: tokens of the records, then tokens of the token table."""
        return len(self.activations)


def evidence_of(groups: Sequence[Group], records: NeuronRecords, vocabulary: Vocabulary, *, unit: float) -> Evidence:
    """All rows. ``groups`` are open records, train first; ``unit`` is the activation of level 1."""
    shown = [record for group in groups for record in group.records]
    block = Block([r.token_ids for r in shown], vocabulary)
    values = np.concatenate([r.activations for r in shown]).astype(np.float64) / unit
    folds = [_fold_weights(groups, fold) for fold in (0, 1)]
    corpus = np.repeat(_corpus_weights(shown, records), [len(r.token_ids) for r in shown])
    kept, means, shares = _table(records.tokens, unit)
    corpus, rest, beyond = _by_token(block.ids, values, corpus, (kept, means, shares))
    weights = np.zeros((len(VIEWS), block.n + len(kept)))
    for view, own in enumerate((*folds, corpus)):
        weights[view, : block.n] = own
    weights[CORPUS, block.n :] = rest
    totals = weights.sum(axis=1)
    importance = np.where(totals > 0, IMPORTANCE, 0.0)
    return Evidence(
        block=block,
        table=Block([np.array([token_id], dtype=np.int32) for token_id in kept], vocabulary),
        activations=np.concatenate([values, beyond]),
        weights=weights / np.where(totals > 0, totals, 1.0)[:, None],
        importance=importance / importance.sum(),
        n_train=sum(len(r.token_ids) for r in groups[0].records),
    )


def _fold_weights(groups: Sequence[Group], fold: int) -> Float64s:
    """The weight of every token of all groups laid end to end in one of the two folds. [N]"""
    return np.concatenate([_group_weights(group, fold) for group in groups])


def _group_weights(group: Group, fold: int) -> Float64s:
    """The same weight for each of the group's tokens in this fold. A single record is in both."""
    lengths = np.array([len(r.token_ids) for r in group.records], dtype=np.int64)
    dealt = np.arange(len(lengths)) % 2 == fold
    chosen = dealt if group.fold is None and len(lengths) > 1 else np.full(len(lengths), group.fold in (None, fold))
    weights = np.repeat(chosen.astype(np.float64), lengths)
    return weights * (group.weight / max(float(weights.sum()), 1.0))


def _corpus_weights(shown: Sequence[ActivationRecord], records: NeuronRecords) -> Float64s:
    """The number of excerpts of the corpus that each record represents; random ones weigh 1 without a probability."""
    weights = np.zeros(len(shown))
    drawn = [i for i, r in enumerate(shown) if r.probability is not None and r.stratum is not None]
    if drawn and records.populations:
        rows = [
            DrawnExcerpt(shown[i].excerpt_id, shown[i].stratum or SampleKind.RANDOM, shown[i].probability or 1.0)
            for i in drawn
        ]
        found = weigh(rows, records.populations)
        weights[np.array(drawn)[found.indices]] = found.values
        return weights
    by_chance = {r.excerpt_id for r in records.of(SampleKind.RANDOM)}
    for i, record in enumerate(shown):
        weights[i] = record.excerpt_id in by_chance
        by_chance.discard(record.excerpt_id)  # an excerpt that another sample shows too counts once
    return weights


def _table(tokens: TokenTable | None, unit: float) -> tuple[Int32s, Float64s, Float64s]:
    """The tokens of the table that explain most variance: ids, means on the scale 0..10, shares of the corpus."""
    if tokens is None or not len(tokens.token_ids):
        return np.zeros(0, dtype=np.int32), np.zeros(0), np.zeros(0)
    total = int(tokens.counts.sum()) + tokens.n_others
    shares = tokens.counts / total
    mean = float(shares @ tokens.means) + tokens.others * tokens.n_others / total
    order = np.argsort(-shares * (tokens.means - mean) ** 2, kind="stable")[:TABLE_ROWS]
    return tokens.token_ids[order], tokens.means[order] / unit, shares[order]


def _by_token(
    ids: Int32s, values: Float64s, corpus: Float64s, table: tuple[Int32s, Float64s, Float64s]
) -> tuple[Float64s, Float64s, Float64s]:
    """Weights of the corpus's view such that every token of the table has its true share and its true mean.

    A token's occurrences among the records keep a part of the share that grows with their number; the rest is the
    table's row. Returns the records' weights [N], the rows' weights [M] and activations [M]: what the token does
    where the records do not show it. Source: post-stratification, Sarndal, Swensson and Wretman (1992), section 7.6.
    """
    kept, means, shares = table
    weights, rest, beyond = corpus.copy(), shares.copy(), means.copy()
    if not weights.any():
        return weights, np.zeros(len(kept)), beyond
    listed = np.isin(ids, kept)
    others = float(weights[~listed].sum())
    if others > 0:
        weights[~listed] *= max(1 - float(shares.sum()), 0.0) / others
    for row, token_id in enumerate(kept.tolist()):
        at = np.flatnonzero((ids == token_id) & (corpus > 0))
        if not len(at):
            continue
        own = corpus[at] / corpus[at].sum()
        n_effective = 1 / float(own @ own)
        trusted = n_effective / (n_effective + TRUSTED_OCCURRENCES)
        weights[at] = own * trusted * shares[row]
        rest[row] = (1 - trusted) * shares[row]
        beyond[row] = (means[row] - trusted * float(own @ values[at])) / (1 - trusted)
    return weights, rest, beyond
