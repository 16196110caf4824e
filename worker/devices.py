"""Where models run: the device that a setting means, and the name of the one in use."""

from pathlib import Path
from typing import Protocol, runtime_checkable

import psutil
import torch

from app.errors import CheckpointError

AUTO = "auto"
CGROUPS = Path("/sys/fs/cgroup")
_MEMORY_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")
"""Where version 2 and version 1 of control groups hold a container's limit, in bytes or as the word max."""


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


def chosen_devices(setting: str) -> list[torch.device]:
    """The devices over which a model may be spread: ``cuda:0,cuda:1``, or one. ``auto`` and ``cuda`` are all GPUs.

    The first is the one that holds all else. Raises CheckpointError for a device that is not there.
    """
    if setting in (AUTO, "cuda") and torch.cuda.is_available():
        return [torch.device("cuda", number) for number in range(torch.cuda.device_count())]
    return [chosen_device(each.strip()) for each in setting.split(",")]


def first_device(setting: str) -> torch.device:
    """The device that holds what is not spread. Raises CheckpointError."""
    return chosen_device(setting.partition(",")[0].strip())


def device_name(device: torch.device) -> str:
    """A device as pages show it: ``cpu``, or a GPU with its number and its model."""
    if device.type != "cuda":
        return str(device)
    return f"{device}, {torch.cuda.get_device_name(device)}"


def device_memory(device: torch.device, *, cgroups: Path = CGROUPS) -> int:
    """Bytes of memory that the device has in all; on a processor at most what this process's container may use."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory())
    limits = (_limit(cgroups / name) for name in _MEMORY_LIMITS)
    return min([psutil.virtual_memory().total, *(limit for limit in limits if limit is not None)])


def _limit(file: Path) -> int | None:
    """The limit in a control group's file; None where there is no file or no limit."""
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None
