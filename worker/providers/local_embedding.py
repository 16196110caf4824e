"""Embeddings by a transformers model on the worker's own device: the mean of a text's last hidden states."""

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app.domain.arrays import Float32s
from app.errors import CheckpointError
from worker.checkpoints import read_encoder, read_tokenizer
from worker.devices import first_device
from worker.weight_files import weights_digest

MOST_TOKENS = 512
"""Tokens of a text that are read at most: memory grows with the square of the length."""
POOLING = "mean/1"
"""How hidden states become one vector, with its version: a part of the model's identity."""
_DECIDES = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def load_local_embedder(folder: str, *, device: str) -> "LocalEmbedder":
    """The model in a folder: only safetensors, no code of its own. Raises CheckpointError."""
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise CheckpointError(f"There is no folder {folder!r} on this worker. NEURON_AUDIT_EMBEDDING_MODEL names one.")
    wanted = first_device(device)
    tokenizer = read_tokenizer(path)
    model = read_encoder(path, dtype="auto" if wanted.type == "cuda" else torch.float32).model
    model.to(device=wanted)
    return LocalEmbedder(model, tokenizer, digest=folder_digest(path))


def folder_digest(folder: Path) -> str:
    """SHA-256 over everything in a model's folder that affects its embeddings, and over the pooling."""
    digest = hashlib.sha256(f"{POOLING} {weights_digest(folder)}".encode())
    for name in _DECIDES:
        file = folder / name
        if file.exists():
            digest.update(f"\0{name}\0{file.stat().st_size}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


class LocalEmbedder:
    """A model and its tokenizer. One call at a time."""

    def __init__(self, model: Any, tokenizer: Any, *, digest: str) -> None:
        """``digest`` distinguishes the model from others."""
        self.digest = digest
        self._model, self._tokenizer = model, tokenizer
        self._lock = threading.Lock()
        limit = int(getattr(model.config.get_text_config(), "max_position_embeddings", 0) or MOST_TOKENS)
        # Models such as RoBERTa, whose positions begin after the padding's, have fewer positions than rows in the
        # table.
        reserved = (model.config.pad_token_id or 0) + 1 if "roberta" in str(model.config.model_type) else 0
        self._most_tokens = min(MOST_TOKENS, limit - reserved)
        pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
        self._pad = int(pad if pad is not None else end if end is not None else 0)

    @property
    def device(self) -> torch.device:
        """The device that holds the model's weights."""
        found: torch.device = self._model.device
        return found

    def embed(self, texts: Sequence[str]) -> Float32s:
        """The means of hidden states, float32 [texts, hidden size], not scaled. Special tokens are read as text."""
        encoded = [
            list(
                self._tokenizer(text, truncation=True, max_length=self._most_tokens, split_special_tokens=True)[
                    "input_ids"
                ]
            )
            for text in texts
        ]
        rows = [ids or [self._pad] for ids in encoded]
        width = max(len(ids) for ids in rows)
        tokens = torch.full((len(rows), width), self._pad, dtype=torch.long)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        for number, ids in enumerate(rows):  # padding on the right: positions count from the first token
            tokens[number, : len(ids)] = torch.tensor(ids)
            mask[number, : len(ids)] = 1
        with self._lock, torch.inference_mode():
            tokens, mask = tokens.to(self.device), mask.to(self.device)
            hidden = self._model(input_ids=tokens, attention_mask=mask).last_hidden_state.float()
            weights = mask.unsqueeze(-1).float()
            means = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
        found: Float32s = means.cpu().numpy().astype(np.float32)
        return found
