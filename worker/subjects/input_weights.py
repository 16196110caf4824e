"""The weights by which the neurons of an MLP read their layer's hidden state."""

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from app.domain.arrays import Float64s
from app.domain.sites import LAYER, SiteKind
from worker.subjects.families import FAMILIES
from worker.subjects.loaded import LoadedSubject


def input_weights(subject: LoadedSubject, layer: int) -> Float64s | None:
    """One row per neuron [N, D]: its input weights, in a gated MLP those of gate and value, of length 1 each.

    None for a site whose inputs are not an MLP's neurons, and for weights of another shape than the family's.
    """
    family = FAMILIES.get(str(subject.model.config.model_type))
    if family is None or subject.info.site.kind is not SiteKind.MLP_POST_ACTIVATION:
        return None
    parts: list[Tensor] = []
    for path in family.input_projections:
        try:
            module = subject.model.get_submodule(path.replace(LAYER, str(layer)))
        except AttributeError:
            return None
        rows = _rows(module)
        if rows is None or rows.shape[0] % subject.info.neurons_per_layer:
            return None
        # Some models keep gate and value in one module.
        parts += torch.chunk(rows, rows.shape[0] // subject.info.neurons_per_layer)
    found: Float64s = torch.cat([nn.functional.normalize(part, dim=1) for part in parts], dim=1).numpy()
    return found


def _rows(module: nn.Module) -> Tensor | None:
    """A linear module's weights, one row per output, as float64 on the processor."""
    if not isinstance(module, nn.Linear | Conv1D):
        return None
    weight = module.weight.detach().double().cpu()
    return weight.T if isinstance(module, Conv1D) else weight
