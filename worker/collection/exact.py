"""Sums that do not depend on the order or grouping of the addends.

A float64 is an integer in units of 2**-160, split into ten limbs of 32 bits. Limbs are added as integers, so that
addition is associative and commutative to the last bit. Parts below 2**-160 of an addend are dropped, in any order of
addition. Limbs of 64 bits hold 2**31 addends without overflow. The idea is Kulisch's long accumulator (Kulisch and
Miranker, "The arithmetic of the digital computer", 1986), wide enough for activations and their fourth powers.
"""

import torch
from torch import Tensor

from app.errors import CollectionError

LIMB_BITS = 32
LOWEST_LIMB = -5
N_LIMBS = 10
LARGEST = 2.0 ** (LIMB_BITS * (LOWEST_LIMB + N_LIMBS))


def zeros(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """An empty sum: int64 [limbs, *shape]."""
    return torch.zeros((N_LIMBS, *shape), dtype=torch.int64, device=device)


def add(limbs: Tensor, addend: Tensor) -> None:
    """Add float64 [*shape] in place. Raises CollectionError for values that are not finite or beyond 2**160."""
    if not bool((addend.abs() < LARGEST).all()):
        raise CollectionError("An activation is not a number or too large to be summed.")
    rest = addend.clone()
    for limb in reversed(range(N_LIMBS)):
        scale = 2.0 ** (LIMB_BITS * (limb + LOWEST_LIMB))
        whole = torch.trunc(rest / scale)
        limbs[limb] += whole.to(torch.int64)
        rest -= whole * scale


def total(limbs: Tensor) -> Tensor:
    """The sum as float64 [*shape], within a few units in the last place of the exact one."""
    carried = limbs.clone()
    for limb in range(N_LIMBS - 1):
        carry = torch.div(carried[limb], 2**LIMB_BITS, rounding_mode="floor")
        carried[limb] -= carry * 2**LIMB_BITS
        carried[limb + 1] += carry
    result = torch.zeros(limbs.shape[1:], dtype=torch.float64, device=limbs.device)
    for limb in reversed(range(N_LIMBS)):
        result += carried[limb].to(torch.float64) * 2.0 ** (LIMB_BITS * (limb + LOWEST_LIMB))
    return result
