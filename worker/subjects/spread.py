"""A model on one device, or over several cards where it is larger than the first.

Whole layers go to a card each, by ``accelerate``: activations pass from card to card within a forward pass. Nothing is
computed otherwise than on one card, and nothing is put on a processor or a disk, where a pass would take days.
"""

from collections.abc import Callable, Mapping, Sequence

import torch

from app.errors import SubjectError
from worker.checkpoints import Model, model_bytes
from worker.devices import device_memory

FIRST_SHARE = 0.6
"""Of the first card's memory: the states of a collection are there as well."""
OTHER_SHARE = 0.85
"""Of the other cards' memory: the rest is for activations."""


def place(model: Model, devices: Sequence[torch.device]) -> Model:
    """The model on the first device, or over all of them where it does not fit. Raises SubjectError."""
    first = devices[0]
    if len(devices) == 1 or model_bytes(model) <= FIRST_SHARE * device_memory(first):
        try:
            return model.to(first)
        except torch.OutOfMemoryError as error:
            raise SubjectError(f"The model does not fit into the memory of {first}: {error}") from error
    return spread(model, device_map(model, devices))


def device_map(
    model: Model, devices: Sequence[torch.device], *, memory: Callable[[torch.device], int] = device_memory
) -> dict[str, torch.device]:
    """The card of each part of a model, in the order of its layers, no layer being cut.

    Raises SubjectError where the cards together are too small.
    """
    from accelerate import infer_auto_device_map  # not needed for what fits

    shares = [FIRST_SHARE, *(OTHER_SHARE for _ in devices[1:])]
    room: dict[int | str, int | str] = {
        number: int(share * memory(device)) for number, (share, device) in enumerate(zip(shares, devices, strict=True))
    }
    model.tie_weights()  # tied weights are counted once, and stay together
    found: Mapping[str, int | str] = infer_auto_device_map(
        model, max_memory={**room, "cpu": 0}, no_split_module_classes=sorted(model._no_split_modules or ())
    )
    if any(not isinstance(number, int) for number in found.values()):
        needed, names = model_bytes(model) / 1e9, ", ".join(map(str, devices))
        raise SubjectError(
            f"The model takes {needed:.1f} GB, more than there is room for on {names}. Give this process more cards, or"
            " choose a smaller dtype."
        )
    return {name: devices[int(number)] for name, number in found.items()}


def spread(model: Model, parts: Mapping[str, torch.device]) -> Model:
    """The model with each part on its own device, and hooks that move what passes between them."""
    from accelerate import dispatch_model

    placed: Model = dispatch_model(model, device_map=dict(parts), force_hooks=True)
    return placed
