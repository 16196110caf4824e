"""Run a half-precision model in single precision, without a second copy of its weights."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

HALF: Final = (torch.float16, torch.bfloat16)


class SinglePrecision(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own class has no types
    """Inside the block every operation on half-precision numbers is computed in float32, and stays in it.

    A weight is converted where it is used and the conversion dropped afterwards: one weight at a time takes memory.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Convert what an operation is given, and the dtype that it is asked for."""
        if func is torch.ops.aten.embedding.default:
            # A lookup rounds nothing, and the embedding is the largest weight.
            return tree_map(_single, func(*args, **(kwargs or {})))
        return func(*tree_map(_single, args), **tree_map(_single, dict(kwargs or {})))


def _single(value: Any) -> Any:
    """The same in float32, if it is a half-precision tensor or dtype."""
    if isinstance(value, Tensor) and value.dtype in HALF:
        return value.to(torch.float32)
    return torch.float32 if isinstance(value, torch.dtype) and value in HALF else value
