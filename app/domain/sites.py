"""Where the neurons of a subject are read: stored with the subject and used by every step that runs it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

LAYER = "{layer}"
"""Placeholder for the layer's number in a module path."""


class SiteKind(StrEnum):
    """The kind of values that a site's neurons are."""

    MLP_POST_ACTIVATION = "mlp_post_activation"
    """The inputs of an MLP's output projection: act(x), or act(gate) * up where the MLP is gated."""
    MODULE_INPUT = "module_input"
    """The inputs of a linear module chosen by a person, for example the heads' outputs before ``o_proj``."""
    IMPORTED = "imported"
    """As named in an imported file: MLP neurons, latents of a sparse autoencoder. They cannot be run again."""

    @property
    def label(self) -> str:
        """The name that pages show."""
        return {
            SiteKind.MLP_POST_ACTIVATION: "MLP post-activation",
            SiteKind.MODULE_INPUT: "Module input",
            SiteKind.IMPORTED: "Imported",
        }[self]


class SiteTensor(StrEnum):
    """The tensor of the module that has the values; its last dimension has one channel per neuron."""

    INPUT = "input"


@dataclass(frozen=True, slots=True)
class Site:
    """Where neurons are read: one module per layer, and the tensor that has the values.

    ``module_path`` is the module's name below the model with ``{layer}`` in it; ``widths`` holds the number of
    neurons of each layer.
    """

    kind: SiteKind
    module_path: str
    widths: tuple[int, ...]
    tensor: SiteTensor = SiteTensor.INPUT

    def module(self, layer: int) -> str:
        """The name of the module of a layer (0-based)."""
        return self.module_path.replace(LAYER, str(layer))

    def read_at(self, layer: int | None = None) -> str:
        """The tensor that is read, in words; for one layer or any."""
        path = self.module_path if layer is None else self.module(layer)
        return path if self.kind is SiteKind.IMPORTED else f"{self.tensor} of {path}"

    def as_json(self) -> dict[str, Any]:
        """The site as JSON for the database."""
        return {
            "kind": str(self.kind),
            "module_path": self.module_path,
            "widths": list(self.widths),
            "tensor": str(self.tensor),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Site":
        """The site that ``as_json`` wrote. Raises ValueError for a kind or tensor that this version does not know."""
        return cls(
            SiteKind(stored["kind"]),
            stored["module_path"],
            tuple(int(width) for width in stored["widths"]),
            SiteTensor(stored["tensor"]),
        )
