"""Null twins: a control of the same shape with meaningless weights.

Each weight tensor keeps its values, in an order of chance. What a method reaches on such a network it reaches by its
own flexibility and by the tokens themselves, not by anything that the model has learned. Source: the sanity check of
Adebayo et al., "Sanity checks for saliency maps" (2018), and its use on explanations of neurons by Heap et al., "Sparse
autoencoders can interpret randomly initialized transformers" (2025).
"""

import hashlib
import zlib

import torch
from torch import nn


def permute_weights(model: nn.Module, *, seed: int) -> None:
    """Permute the values within each parameter, in place. Tied parameters stay tied.

    The order depends on the parameter's name and the seed alone: the same twin on every machine and device.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():  # tied ones are named once
            generator = torch.Generator().manual_seed((seed << 32) | zlib.crc32(name.encode()))
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))


def permuted_digest(digest: str, *, seed: int) -> str:
    """The digest of a twin's weights, from that of the model's."""
    return hashlib.sha256(f"{digest} permuted by {seed}".encode()).hexdigest()[: len(digest)]
