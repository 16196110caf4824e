"""Log-probabilities at chosen places of many texts that begin alike: the beginning once, the rest in batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from worker.providers.prefix_cache import PrefixCache, common_length


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """For each place [places] the log-probabilities of all tokens, narrowed by the caller; what was computed."""

    logprobs: Float[Tensor, "places answers"]
    n_computed: int


@dataclass(frozen=True, slots=True)
class Row:
    """A text's tokens, and the places (>= 1) of tokens whose alternatives are wanted."""

    tokens: Sequence[int]
    places: Sequence[int]


def score_rows(
    model: PreTrainedModel, cache: PrefixCache, rows: Sequence[Row], answers: Sequence[int], batch_tokens: int
) -> list[ScoredRow]:
    """Natural-log probabilities [places, answers] of the ``answers`` token ids at each row's places.

    Equal to running each row alone and whole, up to rounding. A batch holds at most ``batch_tokens``
    tokens beyond the common beginning; out of memory it is halved.
    """
    shared = _shared(rows) if cache.is_possible else 0
    computed_once = cache.hold(rows[0].tokens[:shared]) if shared else 0
    wanted = torch.tensor(list(answers), device=model.device)
    scored: dict[int, ScoredRow] = {}
    for batch in _batches(rows, shared, batch_tokens):
        for place, result in zip(batch, _halving(model, cache, rows, batch, shared, wanted), strict=True):
            extra = computed_once if place == 0 else 0
            scored[place] = ScoredRow(result, len(rows[place].tokens) - shared + extra)
    return [scored[place] for place in range(len(rows))]


def _shared(rows: Sequence[Row]) -> int:
    """Tokens that all rows begin with, short of the token before the first answer, which must be computed."""
    shortest = min(min(min(row.places, default=len(row.tokens)) for row in rows), *(len(r.tokens) for r in rows))
    return min(common_length([row.tokens for row in rows]), shortest - 1)


def _batches(rows: Sequence[Row], shared: int, batch_tokens: int) -> Iterator[list[int]]:
    """Places of rows of like length; each batch within its tokens, padding included, or a single row."""
    batch: list[int] = []
    for place in sorted(range(len(rows)), key=lambda i: len(rows[i].tokens)):
        longest = len(rows[place].tokens) - shared  # rows come in rising length
        if batch and longest * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def _halving(
    model: PreTrainedModel,
    cache: PrefixCache,
    rows: Sequence[Row],
    batch: Sequence[int],
    shared: int,
    wanted: Int[Tensor, " answers"],
) -> list[Float[Tensor, "places answers"]]:
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
) -> list[Float[Tensor, "places answers"]]:
    """One forward pass. Rows are padded on their right, where causal attention cannot look."""
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
        before = torch.tensor([place - 1 - shared for place in row.places], device=model.device, dtype=torch.long)
        at_places = logits[i, before].float()  # [places, vocabulary]
        found.append((at_places[:, wanted] - at_places.logsumexp(-1, keepdim=True)).cpu())
    return found
