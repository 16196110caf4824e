"""A loaded subject: a model with its neurons' modules and its tokenizer."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from app.domain.arrays import Int32s
from app.domain.sites import Site
from app.domain.tokens import Vocabulary
from app.errors import SubjectError
from worker.checkpoints import Model, model_bytes
from worker.subjects.hooks import OnLayer, logits_with, run_to_layer

IntRow: TypeAlias = Int32s
BosPolicy = Literal["prepend", "none"]


@dataclass(frozen=True, slots=True)
class SubjectInfo:
    """What is stored with a subject: everything that could change an activation."""

    name: str
    source: str
    revision: str | None
    weights_digest: str
    architecture: str
    site: Site
    n_layers: int
    neurons_per_layer: int
    activation_function: str | None
    dtype: str
    bos_policy: BosPolicy
    permutation_seed: int | None = None
    """The seed by which the weights of a null twin were permuted; None for the model as it is."""


def plain_encoder(tokenizer: Any) -> Any:
    """The part of a fast tokenizer that cuts text, set so that all of a text is text: its special tokens too."""
    encoder = tokenizer.backend_tokenizer
    encoder.encode_special_tokens = True
    encoder.no_truncation()
    encoder.no_padding()
    return encoder


@dataclass(frozen=True)
class LoadedSubject:
    """A model with its neurons' modules, layer by layer, and its tokenizer.

    ``n_embeddings``: rows of the embedding; tokenizers may have more tokens. ``notes``: what a reader of the
    collection should know of the weights.
    """

    model: Model
    tokenizer: Any
    vocabulary: Vocabulary
    modules: dict[int, nn.Module]
    info: SubjectInfo
    max_positions: int | None
    n_embeddings: int
    notes: tuple[str, ...] = ()

    @property
    def device(self) -> torch.device:
        """Where the model runs; of one that is spread over several cards, where its first layer is."""
        device: torch.device = self.model.device
        return device

    @property
    def n_bytes(self) -> int:
        """Bytes of the model's parameters and buffers."""
        return model_bytes(self.model)

    @property
    def bos_id(self) -> int | None:
        """The token put before every excerpt in the forward pass, if any. Never part of statistics."""
        return self.tokenizer.bos_token_id if self.info.bos_policy == "prepend" else None

    @cached_property
    def _encoder(self) -> Any:
        return plain_encoder(self.tokenizer)

    def encode(self, texts: Sequence[str]) -> list[IntRow]:
        """Token ids of each text, without special tokens.

        Raises SubjectError for a text with a token that the model has no embedding for.
        """
        # Without offsets: they would take twenty times the memory of the ids.
        encodings = self._encoder.encode_batch_fast(list(texts), add_special_tokens=False)
        rows = [np.array(encoding.ids, dtype=np.int32) for encoding in encodings]
        highest = max((int(row.max()) for row in rows if row.size), default=-1)
        if highest >= self.n_embeddings:
            raise SubjectError(
                f"A text holds the token {self.vocabulary.text([highest])!r} (id {highest}), which the model does not "
                f"know: it has {self.n_embeddings} embeddings, its tokenizer {len(self.vocabulary)} tokens."
            )
        return rows

    def activations(self, token_ids: Int[Tensor, "batch tokens"], on_layer: OnLayer) -> None:
        """Hand every layer's activations [batch, tokens, neurons] on token ids [batch, tokens] to ``on_layer``.

        ``token_ids`` are on any device and without BOS: it is added and its activations are cut off.
        The rest of the model behind the last layer's neurons is not run. The tensor is valid only
        during the call. What ``on_layer`` returns replaces the activations.
        """
        run_to_layer(self.model, self.modules, self._with_bos(token_ids), self._seen_by(on_layer))

    def logits(self, token_ids: Int[Tensor, "batch tokens"], on_layer: OnLayer) -> Tensor:
        """Logits [batch, tokens, vocabulary] with the activations that ``on_layer`` returns instead."""
        all_logits = logits_with(self.model, self.modules, self._with_bos(token_ids), self._seen_by(on_layer))
        return (all_logits if self.bos_id is None else all_logits[:, 1:]).to(self.device)

    def why_not_finite(self) -> str:
        """What to do about activations that are not finite numbers, in a sentence."""
        damaged = [name for name, values in self.model.named_parameters() if not bool(values.isfinite().all())]
        if damaged:
            return f"The weights themselves are not: {len(damaged)} of them, among them {', '.join(damaged[:3])}."
        others = {"float16": "bfloat16 or float32", "bfloat16": "float32"}.get(self.info.dtype)
        if others:
            return f"{self.info.dtype} may overflow: try --dtype {others}."
        return f"The model overflows in {self.info.dtype} on this text."

    def _with_bos(self, token_ids: Tensor) -> Tensor:
        ids = token_ids.to(self.device, non_blocking=True)
        if self.bos_id is None:
            return ids
        return torch.cat([ids.new_full((ids.shape[0], 1), self.bos_id), ids], dim=1)

    def _seen_by(self, on_layer: OnLayer) -> OnLayer:
        """``on_layer``, called with activations on the subject's device, whichever GPU computed them."""
        if getattr(self.model, "hf_device_map", None) is None:
            return self._without_bos(on_layer)
        inner = self._without_bos(on_layer)

        def moved(layer: int, activations: Tensor) -> Tensor | None:
            replaced = inner(layer, activations.to(self.device))
            return None if replaced is None else replaced.to(activations.device)

        return moved

    def _without_bos(self, on_layer: OnLayer) -> OnLayer:
        if self.bos_id is None:
            return on_layer

        def inner(layer: int, activations: Tensor) -> Tensor | None:
            replaced = on_layer(layer, activations[:, 1:])
            return None if replaced is None else torch.cat([activations[:, :1], replaced], dim=1)

        return inner
