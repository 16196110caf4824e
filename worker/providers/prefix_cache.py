"""Keys and values of a prompt's prefix, computed once and used for every text with the same prefix.

Of two successive prompts only the differing part is computed: the examples of a simulator's prompt are the same for all
neurons, and its explanation for all excerpts of one.
"""

from collections.abc import Sequence
from itertools import takewhile

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

KeysValues = tuple[Float[Tensor, "1 heads tokens width"], Float[Tensor, "1 heads tokens width"]]


def common_length(rows: Sequence[Sequence[int]]) -> int:
    """The number of first tokens that all rows have in common."""
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*rows, strict=False)))


class PrefixCache:
    """The states of one token sequence, extended and truncated on demand."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._tokens: list[int] = []
        self._layers: list[KeysValues] = []
        # Recurrent models keep one state for all earlier tokens, which cannot be truncated.
        self.is_possible = not getattr(model, "_is_stateful", False)

    def hold(self, tokens: Sequence[int]) -> int:
        """Make the cache contain exactly these tokens' states; returns the number of tokens that were computed."""
        known = common_length([self._tokens, tokens]) if self._tokens else 0
        self._layers = [(k[:, :, :known], v[:, :, :known]) for k, v in self._layers] if known else []
        new = list(tokens[known:])
        if new:
            cache = self.expanded(1)
            ids = torch.tensor([new], device=self._model.device)
            with torch.inference_mode():
                self._model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
            self._layers = [_held(layer) for layer in cache.layers]
        self._tokens = list(tokens)
        return len(new)

    def expanded(self, n_rows: int) -> DynamicCache:
        """The cached states as the prefix of ``n_rows`` sequences; nothing is copied until a sequence is extended."""
        cache = DynamicCache()
        for keys, values in self._layers:
            layer = DynamicLayer()  # type: ignore[no-untyped-call]  # the library leaves it untyped
            layer.lazy_initialization(keys, values)
            layer.keys = keys.expand(n_rows, -1, -1, -1)
            layer.values = values.expand(n_rows, -1, -1, -1)
            cache.layers.append(layer)
        return cache

    def forget(self) -> None:
        """Empty the cache, to free memory."""
        self._tokens, self._layers = [], []


def _held(layer: object) -> KeysValues:
    """A layer's states. Raises TypeError for a kind of layer that keeps no keys and values."""
    if not isinstance(layer, DynamicLayer) or layer.keys is None or layer.values is None:
        raise TypeError(f"a {type(layer).__name__} keeps no keys and values")
    return layer.keys, layer.values
