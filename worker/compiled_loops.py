"""How the worker's loops are compiled."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

_Loop = TypeVar("_Loop", bound=Callable[..., Any])


def compiled_loop(loop: _Loop) -> _Loop:
    """Compiled at its first call; runs without Python's lock.

    Kept on disk, beside the loop's file or in the user's cache folder. Where neither can be written, each process
    compiles for itself, which takes some seconds.
    """
    try:
        compiled: Any = numba.njit(nogil=True, cache=True, error_model="numpy")(loop)
    except RuntimeError:
        compiled = numba.njit(nogil=True, error_model="numpy")(loop)
    return cast(_Loop, compiled)
