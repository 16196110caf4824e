"""Open a transformers checkpoint: only safetensors, no code of its own, no weight missing.

transformers fills weights that are missing from the files with random numbers and continues. All results would then be
noise under the model's name, so here a missing weight is an error.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from httpx2 import HTTPError
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    HFValidationError,
    LocalEntryNotFoundError,
    StrictDataclassError,
)
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as library_log

from app.errors import CheckpointError
from worker.weight_files import check_weight_files, json_object, reason_of

Model: TypeAlias = Any
"""A transformers model; the library's own types do not help here."""
WEIGHTS = "*.safetensors"
TOKENIZER_FILES = ("tokenizer*", "vocab*", "merges.txt", "*.model", "*.tiktoken", "tekken.json")
HUB_FILES = ("*.json", WEIGHTS, "*.txt", "*.jinja")
HUB_IGNORED = ("*/*", "consolidated*")
"""Copies of the weights in other formats."""
POOLER = "pooler."
MOST_NAMED = 3
NOT_NAMED = "method not named"

# Errors that transformers raises on malformed files. Not ``Exception``: errors of this program must surface.
_UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    ImportError,
    ArithmeticError,
    AssertionError,
    SafetensorError,
    StrictDataclassError,
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model as stored in its files, in evaluation mode, on the processor; ``notes`` are for readers of results."""

    model: Model
    notes: tuple[str, ...]


def checkpoint_folder(
    source: str, revision: str | None = None, *, with_weights: bool = True
) -> tuple[Path, str | None]:
    """The folder of a checkpoint, and its revision: None for a local folder, the commit for a hub id.

    ``with_weights=False`` downloads only configuration and tokenizer. Raises CheckpointError if there is no such
    checkpoint.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return path, None
    try:
        found = Path(
            snapshot_download(
                source,
                revision=revision,
                allow_patterns=list(HUB_FILES),
                ignore_patterns=[*HUB_IGNORED, *(() if with_weights else (WEIGHTS,))],
            )
        )
    except HFValidationError as error:
        raise CheckpointError(f"{source!r} is neither a folder nor the name of a model on the hub.") from error
    except (HTTPError, LocalEntryNotFoundError, OSError) as error:
        raise CheckpointError(
            f"{source!r} is not a folder, and the hub does not provide it: {reason_of(error)}"
        ) from error
    return found, found.name


def read_config(folder: Path) -> Any:
    """The configuration. Raises CheckpointError, also for an adapter and for quantised weights."""
    if (folder / "adapter_config.json").exists():
        raise CheckpointError(f"{folder.name} is an adapter, not a model: merge it into its base model and save that.")
    try:
        config = _from_folder(AutoConfig, folder)
    except CheckpointError:
        written = json_object(folder / "config.json")
        if "auto_map" in written:
            raise CheckpointError(
                f"{folder.name} needs Python code from its own repository, which is never run here. Use a checkpoint "
                "of an architecture that transformers has."
            ) from None
        # transformers cannot read a configuration whose ``quantization_config`` is not an object.
        _refuse_quantised(folder, written, written.get("text_config"))
        raise
    _refuse_quantised(folder, vars(config), vars(config.get_text_config()))
    return config


def read_tokenizer(folder: Path) -> Any:
    """The tokenizer. Raises CheckpointError, also for a folder without one: transformers makes an empty one."""
    if not any(next(folder.glob(pattern), None) is not None for pattern in TOKENIZER_FILES):
        raise CheckpointError(f"{folder.name} has no tokenizer: put the tokenizer.json of its model into the folder.")
    return _from_folder(AutoTokenizer, folder)


def read_model(folder: Path, *, dtype: Any) -> Checkpoint:
    """The causal language model, with gradients off. ``dtype`` is torch's, or ``auto`` for the files' own.

    Raises CheckpointError, with the names, if weights are missing or have another shape. Missing buffers, and weights
    in the files that the model does not use, become notes.
    """
    return _read(AutoModelForCausalLM, folder, dtype=dtype)


def read_encoder(folder: Path, *, dtype: Any) -> Checkpoint:
    """The model without a head, for hidden states; of an encoder-decoder model the encoder. Gradients are off.

    A pooler that is missing from the files is not used. Raises CheckpointError like ``read_model``.
    """
    found = _read(AutoModel, folder, dtype=dtype, unneeded=POOLER)
    model = found.model.get_encoder() if found.model.config.is_encoder_decoder else found.model
    return Checkpoint(model, found.notes)


def _read(factory: Any, folder: Path, *, dtype: Any, unneeded: str | None = None) -> Checkpoint:
    """Load a model. Weights whose names begin with ``unneeded`` may be missing."""
    read_config(folder)
    check_weight_files(folder)
    with _quiet():
        model, found = _from_folder(
            factory,
            folder,
            dtype=dtype,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported below, with their names
        )
    if found["mismatched_keys"]:
        raise CheckpointError(_other_shapes(folder, found["mismatched_keys"]))
    buffers = {name for name, _ in model.named_buffers()}
    missing, unused = set(found["missing_keys"]), set(found["unexpected_keys"])
    if unneeded is not None:
        missing = {name for name in missing if not name.startswith(unneeded)}
    if missing - buffers:
        raise CheckpointError(_missing(folder, missing - buffers, unused))
    return Checkpoint(model.eval().requires_grad_(False), tuple(_notes(missing, unused)))


def empty_model(folder: Path, *, dtype: Any = None) -> Model:
    """The model of a configuration without its weights, on torch's ``meta`` device: which takes no memory.

    ``dtype`` is torch's; None for the configuration's own.

    Raises CheckpointError.
    """
    config = read_config(folder)
    with torch.device("meta"), _quiet(), _described(folder):
        factory: Any = AutoModelForCausalLM  # transformers leaves it untyped
        return factory.from_config(config, dtype=dtype, trust_remote_code=False).eval()


def model_bytes(model: Model) -> int:
    """Bytes of a model's parameters and buffers, tied ones counted once; an empty model counts like a loaded one."""
    return sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))


def _from_folder(factory: Any, folder: Path, **options: Any) -> Any:
    with _described(folder):
        return factory.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **options)


@contextmanager
def _described(folder: Path) -> Iterator[None]:
    """Convert errors of the libraries about malformed files to CheckpointError with the folder's name."""
    try:
        yield
    except _UNREADABLE as error:
        raise CheckpointError(f"{folder.name}: {reason_of(error)}") from error


def _refuse_quantised(folder: Path, *configs: Any) -> None:
    for values in configs:
        for name in ("quantization_config", "compression_config"):
            found = values.get(name) if isinstance(values, dict) else None
            if found is not None:
                raise CheckpointError(
                    f"{folder.name} is quantised ({_quantised_by(found)}), so its weights "
                    "are not those that were trained. Use the checkpoint in float32, bfloat16 or float16."
                )


def _quantised_by(found: Any) -> str:
    """How a checkpoint is quantised, in a few words; None if it is not."""
    if isinstance(found, list):
        return ", ".join(dict.fromkeys(_quantised_by(part) for part in found)) or NOT_NAMED
    values = found if isinstance(found, dict) else vars(found) if hasattr(found, "__dict__") else {}
    return str(values.get("quant_method") or (found if isinstance(found, str) else "") or NOT_NAMED)


def _other_shapes(folder: Path, found: Iterable[tuple[str, Sequence[int], Sequence[int]]]) -> str:
    ordered = sorted(found)
    named = [f"{name} is {list(saved)}, not {list(wanted)}" for name, saved, wanted in ordered[:MOST_NAMED]]
    return (
        f"{folder.name}: config.json does not fit {len(ordered)} of the weights: {'; '.join(named)}"
        f"{_and_more(ordered)}."
    )


def _missing(folder: Path, missing: set[str], unused: set[str]) -> str:
    ordered = sorted(missing)
    text = (
        f"{folder.name}: the files lack {len(ordered)} of the model's weights, among them "
        f"{', '.join(ordered[:MOST_NAMED])}; they would be random numbers."
    )
    prefix = _common_prefix(missing, unused)
    if prefix:
        text += (
            f" The files have them under names that begin with {prefix!r}, as a wrapped or compiled model saves them: "
            "save the model inside."
        )
    return text


def _common_prefix(missing: set[str], unused: set[str]) -> str | None:
    """The common prefix by which the unused names differ from the missing ones; None if there is none."""
    for wanted in missing:
        for name in unused:
            prefix = name.removesuffix(wanted)
            if prefix != name and all(other.startswith(prefix) for other in unused):
                return prefix
    return None


def _notes(missing: set[str], unused: set[str]) -> Iterator[str]:
    if missing:
        yield f"{len(missing)} buffers are not in the weight files and keep their initial values: {_some(missing)}"
    if unused:
        yield f"{len(unused)} weights in the files are not used by this architecture: {_some(unused)}"


def _some(names: set[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:MOST_NAMED]) + _and_more(ordered)


def _and_more(names: Sequence[object]) -> str:
    return f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers' own report, a table of all weights."""
    before = library_log.get_verbosity()
    library_log.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        library_log.set_verbosity(before)
