"""Greedy or sampled continuation of many prompts at once, with the same result as one by one.

Sampling uses one generator per prompt, so that neither batching nor order changes a text.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from worker.providers.prefix_cache import PrefixCache, common_length


@dataclass(slots=True)
class Continuation:
    """One prompt and the text written after it."""

    prompt: Sequence[int]
    max_tokens: int
    temperature: float
    seed: int
    n_top: int
    written: list[int] = field(default_factory=list)
    alternatives: list[dict[int, float]] = field(default_factory=list)
    """Log-probabilities (nats) of the written and the likeliest tokens at each step, where ``n_top`` > 0."""
    is_finished: bool = False
    """Whether the model ended the text itself."""
    is_broken: bool = False
    """Whether the model's logits were not finite, so that nothing can be written."""
    n_computed: int = 0
    """Number of the prompt's tokens that were computed."""

    @property
    def is_open(self) -> bool:
        return not self.is_finished and not self.is_broken and len(self.written) < self.max_tokens


@torch.inference_mode()
def continue_prompts(
    model: PreTrainedModel, cache: PrefixCache, rows: Sequence[Continuation], end_ids: frozenset[int]
) -> None:
    """Extend each row until it ends or is full. The prompts' common prefix is computed once."""
    shared = 0
    if cache.is_possible:
        shared = min(common_length([row.prompt for row in rows]), min(len(row.prompt) for row in rows) - 1)
    computed_once = cache.hold(rows[0].prompt[:shared]) if shared else 0
    for row in rows:
        row.n_computed = len(row.prompt) - shared
    rows[0].n_computed += computed_once
    states = cache.expanded(len(rows))
    ids, mask, positions = _left_padded(rows, shared)
    generators = [torch.Generator().manual_seed(row.seed) for row in rows]
    while True:
        logits = model(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            position_ids=positions.to(model.device),
            past_key_values=states,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        chosen = [
            _written(row, row_logits, generator, end_ids)
            for row, row_logits, generator in zip(rows, logits.float().cpu(), generators, strict=True)
        ]
        if not any(row.is_open for row in rows):
            return
        ids = torch.tensor(chosen).unsqueeze(1)
        mask = torch.cat([mask, torch.ones(len(rows), 1, dtype=mask.dtype)], dim=1)
        positions = positions[:, -1:] + 1


def _left_padded(rows: Sequence[Continuation], shared: int) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids [rows, tokens], mask [rows, shared + tokens] and positions [rows, tokens] of the prompts' rest."""
    longest = max(len(row.prompt) for row in rows) - shared
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.ones(len(rows), shared + longest, dtype=torch.long)
    positions = torch.full((len(rows), longest), shared, dtype=torch.long)
    for i, row in enumerate(rows):
        rest = torch.tensor(row.prompt[shared:])
        start = longest - len(rest)
        ids[i, start:] = rest
        mask[i, shared : shared + start] = 0
        positions[i, start:] = torch.arange(shared, shared + len(rest))
    return ids, mask, positions


def _written(
    row: Continuation, logits: Float[Tensor, " vocabulary"], generator: torch.Generator, end_ids: frozenset[int]
) -> int:
    """Choose the row's next token and append it, unless the row is finished."""
    if not bool(torch.isfinite(logits.logsumexp(-1))):
        row.is_broken = True
        return 0  # other rows of the batch continue
    logprobs = logits.log_softmax(-1)
    if row.temperature > 0:
        token = int(torch.multinomial((logits / row.temperature).softmax(-1), 1, generator=generator))
    else:
        token = int(logits.argmax())
    if not row.is_open:
        return token
    if row.n_top:
        best = logprobs.topk(min(row.n_top, len(logprobs)))
        found = {int(i): float(p) for i, p in zip(best.indices, best.values, strict=True)}
        row.alternatives.append({token: float(logprobs[token]), **found})
    if token in end_ids:
        row.is_finished = True
    else:
        row.written.append(token)
    return token
