"""Log-probabilities at chosen positions of many texts: the common prefix is computed once, the rest in batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from worker.providers.prefix_cache import PrefixCache, common_length


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """Log-probabilities [positions, answers], and the number of tokens that were computed for them."""

    logprobs: Float[Tensor, "positions answers"]
    n_computed: int


@dataclass(frozen=True, slots=True)
class Row:
    """A text's tokens, and the positions (>= 1) of the tokens whose alternatives are wanted."""

    tokens: Sequence[int]
    positions: Sequence[int]


def score_rows(
    model: PreTrainedModel, cache: PrefixCache, rows: Sequence[Row], answers: Sequence[int], batch_tokens: int
) -> list[ScoredRow]:
    """Natural-log probabilities [positions, answers] of the ``answers`` token ids at each row's positions.

    Equal to running each row separately, up to rounding; NaN at a position whose logits are not finite. A batch has at
    most ``batch_tokens`` tokens beyond the common prefix; if memory runs out, it is halved.
    """
    shared = _shared(rows) if cache.is_possible else 0
    computed_once = cache.hold(rows[0].tokens[:shared]) if shared else 0
    wanted = torch.tensor(list(answers), device=model.device)
    scored: dict[int, ScoredRow] = {}
    for batch in _batches(rows, shared, batch_tokens):
        for index, result in zip(batch, _halving(model, cache, rows, batch, shared, wanted), strict=True):
            extra = computed_once if index == 0 else 0
            scored[index] = ScoredRow(result, len(rows[index].tokens) - shared + extra)
    return [scored[index] for index in range(len(rows))]


def _shared(rows: Sequence[Row]) -> int:
    """Number of common first tokens, excluding the token before the first answer, which must be computed."""
    shortest = min(min(min(row.positions, default=len(row.tokens)) for row in rows), *(len(r.tokens) for r in rows))
    return min(common_length([row.tokens for row in rows]), shortest - 1)


def _batches(rows: Sequence[Row], shared: int, batch_tokens: int) -> Iterator[list[int]]:
    """Indices of rows of similar length; each batch is within ``batch_tokens``, padding included, or a single row."""
    batch: list[int] = []
    for index in sorted(range(len(rows)), key=lambda i: len(rows[i].tokens)):
        longest = len(rows[index].tokens) - shared  # rows are sorted by increasing length
        if batch and longest * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _halving(
    model: PreTrainedModel,
    cache: PrefixCache,
    rows: Sequence[Row],
    batch: Sequence[int],
    shared: int,
    wanted: Int[Tensor, " answers"],
) -> list[Float[Tensor, "positions answers"]]:
    try:
        return _batch(model, cache, [rows[i] for i in batch], shared, wanted)
    except torch.OutOfMemoryError:
        if len(batch) == 1:
            raise
    torch.cuda.empty_cache()
    middle = len(batch) // 2
    return [
        *_halving(model, cache, rows, batch[:middle], shared, wanted),
        *_halving(model, cache, rows, batch[middle:], shared, wanted),
    ]


@torch.inference_mode()
def _batch(
    model: PreTrainedModel, cache: PrefixCache, rows: Sequence[Row], shared: int, wanted: Int[Tensor, " answers"]
) -> list[Float[Tensor, "positions answers"]]:
    """One forward pass. Rows are padded on the right, where causal attention does not look."""
    lengths = [len(row.tokens) - shared for row in rows]
    longest = max(lengths)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), shared + longest, dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : lengths[i]] = torch.tensor(row.tokens[shared:])
        mask[i, : shared + lengths[i]] = 1
    positions = torch.arange(shared, shared + longest).expand(len(rows), -1)
    logits = model(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        position_ids=positions.to(model.device),
        past_key_values=cache.expanded(len(rows)) if shared else None,
        use_cache=bool(shared),
    ).logits
    found = []
    for i, row in enumerate(rows):
        before = torch.tensor(
            [position - 1 - shared for position in row.positions], device=model.device, dtype=torch.long
        )
        at_positions = logits[i, before].float()  # [positions, vocabulary]
        total = at_positions.logsumexp(-1, keepdim=True)
        found.append((at_positions[:, wanted] - total).masked_fill(~total.isfinite(), torch.nan).cpu())
    return found
