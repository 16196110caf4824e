"""Where models run: the device that a setting means, and the name of the one in use."""

from typing import Protocol, runtime_checkable

import torch

from app.errors import CheckpointError

AUTO = "auto"


@runtime_checkable
class OnDevice(Protocol):
    """What holds a model on a device."""

    @property
    def device(self) -> torch.device:
        """The device that holds the model's weights."""
        ...


def chosen_device(setting: str) -> torch.device:
    """The device that a setting means: ``auto`` is the first CUDA GPU, else the processor.

    Raises CheckpointError for a device that is not there.
    """
    if setting == AUTO:
        setting = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(setting)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise CheckpointError(f"The device {setting!r} cannot be used: {error}.") from error
    return device


def device_name(device: torch.device) -> str:
    """A device as pages show it: ``cpu``, or a GPU with its number and its model."""
    if device.type != "cuda":
        return str(device)
    return f"{device}, {torch.cuda.get_device_name(device)}"
