"""Load a transformers model as a subject: safetensors only, no remote code."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from jaxtyping import Int
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from app.domain.tokens import Vocabulary
from app.errors import SubjectError
from worker.subjects.families import SITE, family_of
from worker.subjects.hooks import OnLayer, logits_with, run_to_layer, submodule
from worker.subjects.vocabulary import vocabulary_of

Model: TypeAlias = Any
"""A transformers model; the library's own types do not help here."""
BosPolicy = Literal["prepend", "none"]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_HUB_FILES = ["*.json", "*.safetensors", "*.txt"]


@dataclass(frozen=True, slots=True)
class SubjectInfo:
    """What is stored with a subject: everything that could change an activation."""

    name: str
    source: str
    revision: str | None
    weights_digest: str
    architecture: str
    site: str
    n_layers: int
    neurons_per_layer: int
    activation_function: str
    dtype: str
    bos_policy: BosPolicy


@dataclass(frozen=True)
class LoadedSubject:
    """A model with its neurons' modules, layer by layer, and its tokenizer."""

    model: Model
    tokenizer: Any
    vocabulary: Vocabulary
    modules: dict[int, nn.Module]
    info: SubjectInfo
    max_positions: int | None

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        device: torch.device = self.model.device
        return device

    @property
    def bos_id(self) -> int | None:
        """The token put before every excerpt in the forward pass, if any. Never part of statistics."""
        return self.tokenizer.bos_token_id if self.info.bos_policy == "prepend" else None

    @cached_property
    def _encoder(self) -> Any:
        encoder = self.tokenizer.backend_tokenizer
        # Text of a corpus that looks like a special token is text.
        encoder.encode_special_tokens = True
        encoder.no_truncation()
        encoder.no_padding()
        return encoder

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, without special tokens."""
        return [e.ids for e in self._encoder.encode_batch(list(texts), add_special_tokens=False)]

    def activations(self, token_ids: Int[Tensor, "batch tokens"], on_layer: OnLayer) -> None:
        """Hand every layer's activations [batch, tokens, neurons] on token ids [batch, tokens] to ``on_layer``.

        ``token_ids`` are on any device and without BOS: it is added and its activations are cut off.
        The rest of the model behind the last layer's neurons is not run. The tensor is valid only
        during the call. What ``on_layer`` answers is used in the place of the activations.
        """
        run_to_layer(self.model, self.modules, self._with_bos(token_ids), self._without_bos(on_layer))

    def logits(self, token_ids: Int[Tensor, "batch tokens"], on_layer: OnLayer) -> Tensor:
        """Logits [batch, tokens, vocabulary] with the activations that ``on_layer`` answers instead."""
        all_logits = logits_with(self.model, self.modules, self._with_bos(token_ids), self._without_bos(on_layer))
        return all_logits if self.bos_id is None else all_logits[:, 1:]

    def _with_bos(self, token_ids: Tensor) -> Tensor:
        ids = token_ids.to(self.device, non_blocking=True)
        if self.bos_id is None:
            return ids
        return torch.cat([ids.new_full((ids.shape[0], 1), self.bos_id), ids], dim=1)

    def _without_bos(self, on_layer: OnLayer) -> OnLayer:
        if self.bos_id is None:
            return on_layer

        def inner(layer: int, activations: Tensor) -> Tensor | None:
            replaced = on_layer(layer, activations[:, 1:])
            return None if replaced is None else torch.cat([activations[:, :1], replaced], dim=1)

        return inner


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How a model is loaded. ``device`` and ``dtype`` may be ``auto``; ``bos`` too."""

    device: str = "auto"
    dtype: str = "auto"
    bos: str = "auto"
    revision: str | None = None
    module_path: str | None = None


def load_subject(source: str, options: LoadOptions | None = None) -> LoadedSubject:
    """Load a causal language model from a local folder or a hub id.

    Raises SubjectError for an unknown architecture, a missing file, a model without safetensors, a
    tokenizer that does not fit the model.
    """
    options = options or LoadOptions()
    device = resolve_device(options.device)
    dtype = resolve_dtype(options.dtype, device)
    folder, revision = _folder(source, options.revision)
    config = _from_folder(AutoConfig, folder)
    family = family_of(config.model_type, options.module_path)
    tokenizer = _from_folder(AutoTokenizer, folder)
    if not getattr(tokenizer, "is_fast", False):
        raise SubjectError(f"{source}: there is no tokenizer.json; convert the tokenizer to the fast format.")
    model = _from_folder(AutoModelForCausalLM, folder, dtype=DTYPES[dtype], use_safetensors=True)
    model = model.eval().requires_grad_(False).to(device)
    modules = {
        layer: submodule(model, family.output_projection.format(layer=layer))
        for layer in range(config.get_text_config().num_hidden_layers)
    }
    function = str(getattr(config, family.activation, "unknown"))
    info = SubjectInfo(
        name=Path(source).name,
        source=source,
        revision=revision,
        weights_digest=digest_of(sorted(folder.glob("*.safetensors"))),
        architecture=(config.architectures or [type(model).__name__])[0],
        site=SITE,
        n_layers=len(modules),
        neurons_per_layer=input_width(modules[0]),
        activation_function=f"{function}, gated" if family.gated else function,
        dtype=dtype,
        bos_policy=bos_policy(tokenizer, options.bos),
    )
    vocabulary = vocabulary_of(tokenizer.backend_tokenizer.to_str())
    _check_vocabulary(vocabulary, model)
    return LoadedSubject(model, tokenizer, vocabulary, modules, info, getattr(config, "max_position_embeddings", None))


def resolve_device(device: str) -> str:
    """``auto`` is the first CUDA GPU, else the processor. Raises SubjectError for a device that is not there."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise SubjectError(f"The device {device!r} cannot be used: {error}.") from error
    return device


def resolve_dtype(dtype: str, device: str) -> str:
    """``auto`` is bfloat16 on a GPU that has it, else float32: processors gain too little by it."""
    if dtype == "auto":
        return "bfloat16" if device.startswith("cuda") and torch.cuda.is_bf16_supported() else "float32"
    if dtype not in DTYPES:
        raise SubjectError(f"The dtype {dtype!r} is not known; known are {', '.join(DTYPES)}.")
    return dtype


def bos_policy(tokenizer: Any, wanted: str) -> BosPolicy:
    """Whether a BOS token stands before each excerpt: ``auto`` does as the tokenizer itself does.

    A model that always saw BOS in training gives its first token unusual activations without it.
    """
    if wanted == "none" or tokenizer.bos_token_id is None:
        return "none"
    if wanted == "prepend":
        return "prepend"
    adds = tokenizer("a").input_ids[:1] == [tokenizer.bos_token_id]
    return "prepend" if adds or getattr(tokenizer, "add_bos_token", False) else "none"


def input_width(projection: nn.Module) -> int:
    """The number of inputs of an output projection, as ``nn.Linear`` or GPT-2's ``Conv1D``."""
    if isinstance(projection, nn.Linear):
        return projection.in_features
    weight = projection.weight
    if not isinstance(weight, Tensor) or weight.ndim != 2:
        raise SubjectError(f"{type(projection).__name__} is no output projection of an MLP.")
    return weight.shape[0]


def digest_of(files: Sequence[Path]) -> str:
    """SHA-256 over files in the order given, names included."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _folder(source: str, revision: str | None) -> tuple[Path, str | None]:
    path = Path(source).expanduser()
    if path.is_dir():
        return path, revision
    try:
        found = Path(snapshot_download(source, revision=revision, allow_patterns=_HUB_FILES))
    except HFValidationError as error:
        raise SubjectError(f"{source!r} is neither a folder nor the name of a model on the hub.") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise SubjectError(f"{source!r} is no folder, and the hub does not give it: {error}") from error
    return found, found.name


def _from_folder(factory: Any, folder: Path, **options: Any) -> Any:
    try:
        return factory.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **options)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise SubjectError(f"{folder.name}: {error}") from error


def _check_vocabulary(vocabulary: Vocabulary, model: Model) -> None:
    rows = model.get_input_embeddings().weight.shape[0]
    if len(vocabulary) > rows:
        raise SubjectError(
            f"The tokenizer has {len(vocabulary)} tokens but the model only {rows} embeddings: they do not belong "
            "together."
        )
