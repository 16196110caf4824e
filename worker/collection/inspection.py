"""Inspection of a model and a text before a collection: does it fit, how large is it, how long will it take?"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Any

import psutil
import torch

from app.domain.inspections import Inspection, SubjectRequest
from app.errors import CorpusError
from worker.collection.run import check_context
from worker.collection.state import Shape, State
from worker.collection.token_sums import BYTES_PER_SUM, GIGABYTES
from worker.corpora.documents import CorpusSource, Document
from worker.devices import device_name, first_device
from worker.subjects.description import Description, describe
from worker.subjects.load import DTYPES, resolve_dtype

MOST_NAMED = 5
COUNT_SECONDS = 10.0
"""Seconds after which counting the text stops."""
CHARACTERS_AT_ONCE = 1 << 20
RATE_TOKENS = 512
SHARE_OF_RATE = 0.5
"""Approximate share of the device's matrix rate that a pass reaches; attention, norms and sampling take the rest."""


@dataclass(frozen=True, slots=True)
class CountedText:
    """Number of tokens in whole excerpts. ``is_exact``: counting reached the end of the text or the limit."""

    tokens: int
    is_exact: bool
    left_out: tuple[str, ...]


def inspect(
    request: SubjectRequest, source: CorpusSource, device: str, tell: Callable[[str], None] = lambda stage: None
) -> Inspection:
    """Inspect a model and a text. ``device`` is the setting; ``tell`` receives the name of each stage.

    Raises CheckpointError, SubjectError and CollectionError for a model that cannot be collected, CorpusError for a
    text without one excerpt.
    """
    tell("reading the model's configuration")
    found = describe(request.model, request.revision)
    check_context(request.context_length, has_bos=found.bos_policy == "prepend", max_positions=found.max_positions)
    tell("counting the text")
    counted = count_text(source, found.encoder, request)
    tell("measuring the speed")
    where = first_device(device)
    dtype = resolve_dtype("auto", str(where))
    return Inspection(
        architecture=found.architecture,
        module_path=found.site.module_path,
        activation_function=found.activation_function,
        n_layers=found.n_layers,
        neurons_per_layer=found.site.widths[0],
        n_parameters=found.n_parameters,
        vocabulary_size=found.vocabulary_size,
        bos_policy=found.bos_policy,
        longest_context=found.max_positions,
        dtype=dtype,
        device=device_name(where),
        weight_bytes=found.weight_bytes,
        memory_bytes=memory_of(found, request.context_length, dtype),
        free_bytes=free_memory(where),
        tokens=counted.tokens,
        tokens_are_exact=counted.is_exact,
        seconds=counted.tokens * 2 * found.n_inner / (SHARE_OF_RATE * matrix_rate(found, where, dtype)),
        left_out=counted.left_out,
    )


def count_text(
    source: CorpusSource, encoder: Any, request: SubjectRequest, *, clock: Callable[[], float] = monotonic
) -> CountedText:
    """Count tokens of whole excerpts until the limit, the end of the text, or ``COUNT_SECONDS``."""
    length, tokens, is_exact, left_out = request.context_length, 0, True, list[str]()
    begun = clock()
    for texts in _in_groups(source.read(lambda name, why: left_out.append(f"{name}: {why}"))):
        encodings = encoder.encode_batch_fast(texts, add_special_tokens=False)
        tokens += sum(len(encoding.ids) // length * length for encoding in encodings)
        if request.max_tokens is not None and tokens >= request.max_tokens:
            tokens = max(length, request.max_tokens // length * length)
            break
        if clock() - begun > COUNT_SECONDS:
            is_exact = False
            break
    if tokens == 0:
        why = "".join(f"; {line}" for line in left_out[:MOST_NAMED])
        raise CorpusError(f"The corpus {source.name!r} holds no text of {length} tokens{why}.")
    return CountedText(tokens, is_exact, tuple(left_out[:MOST_NAMED]))


def _in_groups(documents: Iterable[Document]) -> Iterable[list[str]]:
    waiting, size = list[str](), 0
    for document in documents:
        waiting.append(document.text)
        size += len(document.text)
        if size >= CHARACTERS_AT_ONCE:
            yield waiting
            waiting, size = [], 0
    if waiting:
        yield waiting


def memory_of(found: Description, context_length: int, dtype: str) -> int:
    """Maximum bytes of the weights and of the collection's state."""
    shape = Shape(found.n_layers, found.site.widths[0], context_length)
    kept = State.empty(shape, torch.device("meta")).n_bytes
    n_neurons = found.n_layers * found.site.widths[0]
    token_sums = min(GIGABYTES * 1e9, BYTES_PER_SUM * n_neurons * found.vocabulary_size)
    return int(found.n_parameters * DTYPES[dtype].itemsize + kept + token_sums)


def free_memory(device: torch.device) -> int:
    """Free bytes on the device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def matrix_rate(found: Description, device: torch.device, dtype: str) -> float:
    """Operations per second of the MLP's matrix product on the device, the best of three."""
    kind = DTYPES[dtype]
    left = torch.ones(RATE_TOKENS, found.hidden_size, device=device, dtype=kind)
    right = torch.ones(found.hidden_size, found.site.widths[0], device=device, dtype=kind)
    best = float("inf")
    for _ in range(4):  # warm-up
        begun = monotonic()
        left @ right
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, monotonic() - begun)
    return 2.0 * RATE_TOKENS * found.hidden_size * found.site.widths[0] / max(best, 1e-9)
