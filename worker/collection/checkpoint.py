"""Save a state on disk so that a killed pass can resume. No pickle: a header and raw arrays."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
import torch
from torch import Tensor

from app.errors import CollectionError
from worker.collection.plan import clear_write_errors, publish_file
from worker.collection.state import Shape, State

Open: TypeAlias = Callable[[Path], BinaryIO]
"""Function that opens a file for writing; tests replace it by one that raises as a full disk does."""


def open_for_writing(file: Path) -> BinaryIO:
    """Open an ordinary file for writing."""
    return file.open("wb")


def write_tensors(
    file: Path, tensors: dict[str, Tensor], extra: dict[str, object], opener: Open = open_for_writing
) -> None:
    """Write tensors so that after a crash either the old or the new file is complete.

    Raises CollectionError if the disk is full or cannot be written; the old file stays.
    """
    draft = file.with_name(f"{file.name}.draft")
    described = {
        name: {"dtype": str(t.dtype).removeprefix("torch."), "shape": list(t.shape)} for name, t in tensors.items()
    }
    header = json.dumps({"tensors": described, "extra": extra}).encode()
    try:
        with clear_write_errors(file):
            with opener(draft) as stream:
                stream.write(len(header).to_bytes(8, "little"))
                stream.write(header)
                for tensor in tensors.values():
                    stream.write(np.ascontiguousarray(tensor.detach().cpu().numpy()).data)
                stream.flush()
                os.fsync(stream.fileno())
            publish_file(draft, file)
    except CollectionError:
        draft.unlink(missing_ok=True)
        raise


def read_tensors(file: Path, device: torch.device) -> tuple[dict[str, Tensor], dict[str, object]]:
    """The tensors and extra data written by ``write_tensors``, on ``device``."""
    with file.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        tensors = {}
        for name, described in header["tensors"].items():
            count = int(np.prod(described["shape"]))
            array = np.fromfile(stream, dtype=described["dtype"], count=count).reshape(described["shape"])
            tensors[name] = torch.from_numpy(array).to(device)
    return tensors, header["extra"]


def save_state(file: Path, state: State, opener: Open = open_for_writing) -> None:
    """Write a state."""
    shape = state.shape
    extra: dict[str, object] = {
        "shape": [shape.n_layers, shape.neurons, shape.tokens, shape.token_rows],
        "shards": sorted(state.shards),
        "excerpts": state.excerpts,
        "histogram_excerpts": state.histogram_excerpts,
    }
    write_tensors(file, state.tensors, extra, opener)


def load_state(file: Path, device: torch.device) -> State | None:
    """The state in a file; None if there is no file."""
    if not file.exists():
        return None
    tensors, extra = read_tensors(file, device)
    shape, shards = extra["shape"], extra["shards"]
    excerpts, in_histogram = extra["excerpts"], extra["histogram_excerpts"]
    if not (isinstance(shape, list) and isinstance(shards, list)):
        raise CollectionError(f"{file} holds no state of a collection.")
    return State(Shape(*shape), tensors, set(shards), int(str(excerpts)), int(str(in_histogram)))
