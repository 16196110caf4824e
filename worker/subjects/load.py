"""Load a transformers model as a subject: at the site its family has, that a person names, or that is stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from app.domain.sites import Site, SiteKind
from app.errors import SubjectError
from worker.checkpoints import (
    Checkpoint,
    checkpoint_folder,
    read_config,
    read_model,
    read_tokenizer,
)
from worker.devices import chosen_devices
from worker.subjects.loaded import BosPolicy, LoadedSubject, SubjectInfo
from worker.subjects.null_twin import permute_weights, permuted_digest
from worker.subjects.sites import activation_function, open_site, site_path
from worker.subjects.spread import place
from worker.subjects.trial_pass import check_by_a_pass
from worker.subjects.vocabulary import vocabulary_of
from worker.weight_files import weights_digest

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How a model is loaded. ``device`` and ``dtype`` may be ``auto``; ``bos`` too.

    ``device`` may name several cards, ``cuda:0,cuda:1``: a model that is larger than the first is spread over them.

    ``site`` is that of a stored subject, and wins over ``module_path``, which a person names for a new one.
    """

    device: str = "auto"
    dtype: str = "auto"
    bos: str = "auto"
    revision: str | None = None
    module_path: str | None = None
    site: Site | None = None
    permutation_seed: int | None = None
    """Load the model's null twin; see ``worker.subjects.null_twin``."""


def load_subject(source: str, options: LoadOptions | None = None) -> LoadedSubject:
    """Load a causal language model from a local folder or a hub id.

    Raises CheckpointError for a device that is not there and for what cannot be loaded or lacks weights;
    SubjectError for an unknown architecture, a site that cannot be read or is not the stored one, a
    tokenizer that is not fast, and a model that looks ahead.
    """
    options = options or LoadOptions()
    devices = chosen_devices(options.device)
    dtype = resolve_dtype(options.dtype, str(devices[0]))
    folder, revision = checkpoint_folder(source, options.revision)
    config = read_config(folder)
    kind, path = _wanted_site(config, options)
    tokenizer = read_tokenizer(folder)
    check_is_fast(tokenizer, source)
    checkpoint = read_model(folder, dtype=DTYPES[dtype])
    digest = weights_digest(folder)
    if options.permutation_seed is not None:
        permute_weights(checkpoint.model, seed=options.permutation_seed)
        digest = permuted_digest(digest, seed=options.permutation_seed)
    site, modules = open_site(checkpoint.model, kind, path, config.get_text_config().num_hidden_layers)
    if options.site not in (None, site):
        raise SubjectError(f"The model at {source} does not have the neurons that the subject was collected with.")
    info = SubjectInfo(
        # The folder's own name and address: "." has no name, and a worker that loads it later runs elsewhere.
        name=folder.resolve().name if is_folder(source) else Path(source).name,
        source=str(folder.resolve()) if is_folder(source) else source,
        revision=revision,
        weights_digest=digest,
        architecture=(config.architectures or [type(checkpoint.model).__name__])[0],
        site=site,
        n_layers=len(modules),
        neurons_per_layer=site.widths[0],
        activation_function=activation_function(config, kind),
        dtype=dtype,
        bos_policy=bos_policy(tokenizer, options.bos),
        permutation_seed=options.permutation_seed,
    )
    subject = _assembled(checkpoint, tokenizer, modules, info, devices)
    check_by_a_pass(subject)
    return subject


def _wanted_site(config: Any, options: LoadOptions) -> tuple[SiteKind, str]:
    if options.site is not None:
        return options.site.kind, options.site.module_path
    return site_path(config.model_type, options.module_path)


def check_is_fast(tokenizer: Any, source: str) -> None:
    """Raises SubjectError for a tokenizer that has no ``tokenizer.json``."""
    if not getattr(tokenizer, "is_fast", False):
        raise SubjectError(f"{source}: there is no tokenizer.json; convert the tokenizer to the fast format.")


def is_folder(source: str) -> bool:
    """Whether a model is a folder of this machine rather than a hub id."""
    return Path(source).expanduser().is_dir()


def _assembled(
    checkpoint: Checkpoint,
    tokenizer: Any,
    modules: dict[int, nn.Module],
    info: SubjectInfo,
    devices: Sequence[torch.device],
) -> LoadedSubject:
    subject = LoadedSubject(
        model=place(checkpoint.model, devices),
        tokenizer=tokenizer,
        vocabulary=vocabulary_of(tokenizer.backend_tokenizer.to_str()),
        modules=modules,
        info=info,
        max_positions=getattr(checkpoint.model.config.get_text_config(), "max_position_embeddings", None),
        n_embeddings=checkpoint.model.get_input_embeddings().weight.shape[0],
        notes=checkpoint.notes,
    )
    if subject.bos_id is not None and subject.bos_id >= subject.n_embeddings:
        raise SubjectError(
            f"The tokenizer's BOS token (id {subject.bos_id}) has no embedding in the model, which has "
            f"{subject.n_embeddings}. Use --bos none."
        )
    return subject


def resolve_dtype(dtype: str, device: str) -> str:
    """``auto`` is bfloat16 on a GPU that has it, else float32: processors gain too little by it."""
    if dtype == "auto":
        return "bfloat16" if device.startswith("cuda") and torch.cuda.is_bf16_supported() else "float32"
    if dtype not in DTYPES:
        raise SubjectError(f"The dtype {dtype!r} is not known; known are {', '.join(DTYPES)}.")
    return dtype


def bos_policy(tokenizer: Any, wanted: str) -> BosPolicy:
    """Whether a BOS token precedes each excerpt: ``auto`` does as the tokenizer itself does.

    A model that always saw BOS in training gives its first token unusual activations without it.
    """
    if wanted == "none" or tokenizer.bos_token_id is None:
        return "none"
    if wanted == "prepend":
        return "prepend"
    adds = tokenizer("a").input_ids[:1] == [tokenizer.bos_token_id]
    return "prepend" if adds or getattr(tokenizer, "add_bos_token", False) else "none"
