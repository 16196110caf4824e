"""A first forward pass over a few tokens, which shows whether a model can be read at its site at all."""

from collections.abc import Sequence

import torch
from torch import Tensor

from app.errors import SubjectError
from worker.subjects.loaded import LoadedSubject
from worker.subjects.single_precision import HALF, SinglePrecision

TEXT = "A first pass over a few words shows whether every neuron has a value."
MOST_TOKENS = 8
LOOKS_AHEAD_SHARE = 1_000 * torch.finfo(torch.float32).eps
"""Of the largest activation of a layer. Rounding in float32 stays below; attention to later tokens stays above, even
that of a model of random weights, which attends so evenly that a later token changes little."""
LOOKS_AHEAD_SHARE_IN_HALF = 0.01
"""Where the model can only be run in half precision, whose rounding hides so even an attention."""
NOT_RUN = (RuntimeError, TypeError, ValueError, LookupError, AttributeError)
"""What a model raises that cannot be run on text alone."""


def check_by_a_pass(subject: LoadedSubject) -> None:
    """Run two texts that differ in their last token alone.

    Raises SubjectError for a model that cannot be run on text alone, for a site that is not passed on every
    token exactly once, and for a model that looks ahead: there the activations before the last token differ.
    """
    token_ids = _pair(subject)
    try:
        found = _found(subject, token_ids)
    except NOT_RUN as error:
        raise SubjectError(f"{subject.info.name} cannot be run on text alone: {_first_line(error)}") from error
    never = sorted(subject.modules.keys() - found.keys())
    if never:
        raise SubjectError(
            f"The model does not pass {subject.info.site.module(never[0])!r} in a forward pass, so its neurons have no "
            "values."
        )
    if _looks_ahead(subject, token_ids, found):
        raise SubjectError(
            f"{subject.info.name} ({subject.info.architecture}) attends to the tokens after a token too. Only causal "
            "language models are supported, in which an activation depends on earlier tokens alone."
        )


def _found(subject: LoadedSubject, token_ids: Tensor) -> dict[int, Tensor]:
    """The activations [2, tokens, neurons] of each layer. Raises SubjectError where a layer is passed twice."""
    found: dict[int, Tensor] = {}

    def keep(layer: int, activations: Tensor) -> None:
        if layer in found:
            raise SubjectError(
                f"The model passes {subject.info.site.module(layer)!r} more than once in a forward pass, so its "
                "neurons have several values on a token. Such a site is not supported."
            )
        found[layer] = activations.float().cpu()

    subject.activations(token_ids, keep)
    return found


def _looks_ahead(subject: LoadedSubject, token_ids: Tensor, found: dict[int, Tensor]) -> bool:
    """Whether a later token changes an activation. A half-precision model is run again, in single precision."""
    least = LOOKS_AHEAD_SHARE
    if next(subject.model.parameters()).dtype in HALF:
        try:
            with SinglePrecision():
                found = _found(subject, token_ids)
        except NOT_RUN:  # a kernel of the model's own takes half precision alone
            least = LOOKS_AHEAD_SHARE_IN_HALF
    return any(_changed_before_the_end(activations) > least for activations in found.values())


def _pair(subject: LoadedSubject) -> Tensor:
    """Token ids [2, tokens] that differ in the last one."""
    most = MOST_TOKENS
    if subject.max_positions is not None:
        most = max(2, min(most, subject.max_positions - (subject.bos_id is not None)))
    ids = _distinct(subject.encode([TEXT])[0].tolist(), subject.n_embeddings)[:most]
    return torch.tensor([[*ids[:-1], ids[-1]], [*ids[:-1], ids[0]]])


def _distinct(ids: Sequence[int], n_embeddings: int) -> list[int]:
    """Different token ids, the text's own first; a tokenizer may know few of its words."""
    return list(dict.fromkeys([*ids, *range(min(MOST_TOKENS, n_embeddings))]))


def _changed_before_the_end(activations: Tensor) -> float:
    """How far the two rows of [2, tokens, neurons] differ before the last token, as a share of the largest value."""
    before = activations[:, :-1]
    largest = before.abs().max()
    return float((before[0] - before[1]).abs().max() / largest) if largest else 0.0


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
