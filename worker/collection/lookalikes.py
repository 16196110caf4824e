"""A second pass over a part of the corpus, which finds for every neuron excerpts that resemble its top ones but hardly
activate it.

The driving tokens of a neuron follow from its finished top sample, so this cannot be part of the first pass. Memory
does not grow with the corpus.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from app.domain.arrays import Bools, Float16s, Float32s, Float64s, Int64s
from app.domain.samples import SampleKind
from app.domain.splits import HELD_OUT, Split, split_of
from worker.collection.best import NEVER, Batch, Best, ordinals_of, sortable
from worker.collection.chance import lowest
from worker.collection.draw import LayerDraw, Records
from worker.collection.hard_negatives import DRIVING_SHARE, LOW_SHARE, MOST, MOST_DRIVING
from worker.collection.near_copies import Marked, Texts, alike_to_any, distinct
from worker.collection.passes import Pass, Tell
from worker.collection.plan import Excerpts

LEAST_LOOKED_AT, MOST_LOOKED_AT, SHARE_LOOKED_AT = 1024, 8192, 16
"""The share of the corpus's excerpts that is read, one in sixteen, with a lower and an upper bound."""
CONSIDERED = 2 * MOST
"""Look-alikes kept per neuron before near-copies and excerpts of other samples are removed."""
_LOOK = 6


@dataclass(frozen=True, slots=True)
class Drivers:
    """The driving tokens of the N neurons of a layer: D tokens each with their weight, 0 if there are fewer.

    The neuron counts as firing on an excerpt whose peak is ``low`` or above.
    """

    tokens: Int64[Tensor, "n d"]
    weights: Float[Tensor, "n d"]
    low: Float[Tensor, " n"]


def lookalike_size(n_excerpts: int) -> int:
    """The number of excerpts that are read of a corpus of ``n_excerpts``."""
    return min(n_excerpts, max(LEAST_LOOKED_AT, min(MOST_LOOKED_AT, n_excerpts // SHARE_LOOKED_AT)))


def find_lookalikes(
    work: Pass, draws: Callable[[int], LayerDraw], seed: int, tell: Tell = lambda tokens: None
) -> list[Best]:
    """For each layer, each neuron's ``CONSIDERED`` most similar excerpts on which it hardly fires.

    ``draws`` returns the samples of a layer.

    Similarity is the summed weight of the driving tokens in an excerpt; ties go to the earlier excerpt. ``tell``
    receives the number of tokens processed. Raises CollectionError if a single excerpt needs too much memory.
    """
    n = work.plan.n_excerpts
    chosen = lowest(seed, _LOOK, n, lookalike_size(n))
    drivers = [drivers_of(draws(layer), work.excerpts, work.device) for layer in range(work.shape.n_layers)]
    while True:
        try:
            return _look(work, drivers, chosen, tell)
        except torch.OutOfMemoryError as error:
            work.batch.halve(error)


def _look(work: Pass, drivers: list[Drivers], chosen: Int64s, tell: Tell) -> list[Best]:
    found = [Best.empty(work.shape.neurons, CONSIDERED, work.shape.tokens, work.device) for _ in drivers]
    for first in range(0, len(chosen), work.batch.excerpts):
        ordinals = chosen[first : first + work.batch.excerpts]
        tokens = torch.from_numpy(work.excerpts.tokens(ordinals)).to(torch.int64)
        own = torch.from_numpy(ordinals).to(work.device)
        work.forward(tokens, partial(_offer, found, drivers, holds(tokens.to(work.device)), own))
        tell((first + len(ordinals)) * work.shape.tokens)
    return found


def _offer(
    found: list[Best], drivers: list[Drivers], held: Bool[Tensor, "batch v"], ordinals: Tensor, layer: int, a: Tensor
) -> None:
    of_layer = drivers[layer]
    peaks = a.float().amax(dim=1)
    # tokens beyond the batch's highest are in none of its excerpts
    known = of_layer.tokens < held.shape[1]
    weights = of_layer.weights * known
    likeness = torch.zeros_like(peaks)
    for number in range(weights.shape[1]):  # one driving token at a time, so that no [batch, n, d] tensor is built
        likeness += held[:, of_layer.tokens[:, number] * known[:, number]] * weights[:, number]
    keys = torch.where((likeness > 0) & (peaks < of_layer.low), sortable(likeness), NEVER)
    found[layer].add(keys, Batch(ordinals, peaks, a))


def holds(tokens: Int64[Tensor, "batch tokens"]) -> Bool[Tensor, "batch v"]:
    """Which tokens, up to the highest of the batch, each excerpt contains."""
    held = torch.zeros((tokens.shape[0], int(tokens.max()) + 1), dtype=torch.bool, device=tokens.device)
    return held.scatter_(1, tokens, True)


def drivers_of(draw: LayerDraw, excerpts: Excerpts, device: torch.device) -> Drivers:
    """The driving tokens of a layer's neurons, by the rule of ``hard_negatives.driving_tokens``.

    Uses the top sample's train split only, without near-copies of records that other samples hold out.
    """
    top = draw.of(SampleKind.TOP)
    ranks = [rank for rank in range(top.ordinals.shape[1]) if split_of(SampleKind.TOP, rank) is Split.TRAIN]
    maximum = top.peaks[:, 0].astype(np.float64)
    values, train = top.values[:, ranks], top.ordinals[:, ranks]
    train = np.where(_held_out(draw, train, values, excerpts), -1, train)
    known, inverse = np.unique(np.maximum(train, 0), return_inverse=True)
    tokens = excerpts.tokens(known)[inverse.reshape(-1, len(ranks))].astype(np.int64)
    real = np.broadcast_to((train >= 0)[:, :, None], tokens.shape) & (maximum > 0)[:, None, None]
    neurons = np.broadcast_to(np.arange(len(tokens))[:, None, None], tokens.shape)
    chosen, weights = _heaviest(
        neurons[real],
        tokens[real],
        (values.astype(np.float64) / np.where(maximum > 0, maximum, 1)[:, None, None])[real],
        len(tokens),
    )
    return Drivers(
        torch.from_numpy(chosen).to(device),
        torch.from_numpy(weights).to(device),
        torch.from_numpy((LOW_SHARE * maximum).astype(np.float32)).to(device),
    )


def _held_out(draw: LayerDraw, ordinals: Int64s, values: Float16s, excerpts: Excerpts) -> Bools:
    """Which of these excerpts [N, K], with their activations, are near-copies of a held-out one."""
    held = [
        (records.ordinals[:, i], records.values[:, i].argmax(axis=1))
        for records in draw.samples
        if records.kind is not SampleKind.TOP
        for i in range(records.ordinals.shape[1])
        if split_of(records.kind, i) in HELD_OUT
    ]
    others, peaks = (np.stack(column, axis=1) for column in zip(*held, strict=True))
    texts = Texts.of(excerpts, np.concatenate([ordinals.ravel(), others.ravel()]))
    return alike_to_any(texts, _marked(texts, ordinals, values.argmax(axis=2)), _marked(texts, others, peaks))


def _marked(texts: Texts, ordinals: Int64s, peaks: Int64s) -> Marked:
    rows = texts.rows_of(ordinals)
    return Marked(rows, texts.up_to(rows, peaks))


def _heaviest(neurons: Int64s, tokens: Int64s, values: Float64s, n: int) -> tuple[Int64s, Float32s]:
    """Each neuron's ``n`` tokens of the highest mean, and these means, from (neuron, token, value). [N, D] each"""
    size = int(tokens.max(initial=0)) + 1
    pairs, inverse = np.unique(neurons * size + tokens, return_inverse=True)
    means = np.bincount(inverse, values) / np.bincount(inverse) if len(pairs) else np.zeros(0)
    pairs, means = pairs[means >= DRIVING_SHARE], means[means >= DRIVING_SHARE]
    order = np.lexsort((pairs, -means, pairs // size))
    pairs, means = pairs[order], means[order]
    owners = pairs // size
    rank = np.arange(len(pairs)) - np.searchsorted(owners, owners)
    kept = rank < MOST_DRIVING
    chosen, weights = np.zeros((n, MOST_DRIVING), dtype=np.int64), np.zeros((n, MOST_DRIVING), dtype=np.float32)
    chosen[owners[kept], rank[kept]] = pairs[kept] % size
    weights[owners[kept], rank[kept]] = means[kept]
    return chosen, weights


def lookalike_records(found: Best, draw: LayerDraw, excerpts: Excerpts) -> Records:
    """The hard negatives of a layer's neurons, without near-copies and without excerpts of the neuron's other samples.

    So no excerpt that scores is shown to an explainer as a hard negative.
    """
    best = found.ordered()
    ordinals = ordinals_of(best.scores).cpu().numpy()
    for other in draw.samples:
        ordinals[(ordinals[:, :, None] == other.ordinals[:, None, :]).any(axis=2)] = -1
    values = best.values.cpu().numpy()
    texts = Texts.of(excerpts, ordinals)
    wanted = distinct(texts, _marked(texts, ordinals, values.argmax(axis=2)), MOST)
    order = np.argsort(~wanted, axis=1, kind="stable")[:, :MOST]
    rows = np.arange(len(order))[:, None]
    return Records(
        SampleKind.HARD_NEGATIVE,
        np.where(wanted[rows, order], ordinals[rows, order], -1),
        best.peaks.cpu().numpy()[rows, order],
        values[rows, order],
    )
