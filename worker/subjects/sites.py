"""From a site to the modules of a loaded model: which modules, how wide, and whether they can be read at all."""

from collections.abc import Iterator
from typing import Any

from torch import nn
from transformers.pytorch_utils import Conv1D

from app.domain.sites import LAYER, Site, SiteKind
from app.errors import SubjectError
from worker.checkpoints import Model
from worker.subjects.families import FAMILIES

_SHOWN = 3


def site_path(model_type: str, module_path: str | None = None) -> tuple[SiteKind, str]:
    """What is read in a model of this type, and the module path: the family's own, or the one a person names.

    Raises SubjectError for an unknown type without a path, and for a path without ``{layer}``.
    """
    family = FAMILIES.get(model_type)
    if module_path is not None and LAYER not in module_path:
        raise SubjectError(f"The module path {module_path!r} has no {LAYER} in it.")
    if family is not None and module_path in (None, family.output_projection):
        return SiteKind.MLP_POST_ACTIVATION, family.output_projection
    if module_path is None:
        raise SubjectError(
            f"The architecture {model_type!r} is not known; known are {', '.join(sorted(FAMILIES))}. For another one "
            "name the module path of an MLP's output projection, for example "
            "--module-path 'model.layers.{layer}.mlp.down_proj'."
        )
    return SiteKind.MODULE_INPUT, module_path


def activation_function(config: Any, kind: SiteKind) -> str | None:
    """The function whose outputs the neurons are, as the configuration names it; None for a site of a person's own."""
    family = FAMILIES.get(config.model_type)
    if family is None or kind is not SiteKind.MLP_POST_ACTIVATION:
        return None
    function = str(getattr(config.get_text_config(), family.activation, "unknown"))
    return f"{function}, gated" if family.gated else function


def open_site(model: Model, kind: SiteKind, path: str, n_layers: int) -> tuple[Site, dict[int, nn.Module]]:
    """The site with the width of each layer, and the modules to hook, by layer.

    Raises SubjectError for a model without layers, for a module that is not there or is not linear, for one module
    that is in several layers, and for layers of different widths.
    """
    if n_layers < 1:
        raise SubjectError(f"The model has no layers: its configuration gives their number as {n_layers}.")
    names = [path.replace(LAYER, str(layer)) for layer in range(n_layers)]
    modules = {layer: _submodule(model, name) for layer, name in enumerate(names)}
    widths = tuple(input_width(modules[layer], name) for layer, name in enumerate(names))
    if len({id(module) for module in modules.values()}) < n_layers:
        raise SubjectError(f"Several layers share one module at {path!r}: their neurons cannot be distinguished.")
    if len(set(widths)) > 1:
        raise SubjectError(
            f"The layers have different numbers of neurons at {path!r}: {', '.join(map(str, widths))}. Only subjects "
            "whose layers are of one width are supported."
        )
    return Site(kind, path, widths), modules


def input_width(module: nn.Module, name: str) -> int:
    """The number of inputs of a linear module: ``nn.Linear``, or GPT-2's ``Conv1D``. Raises SubjectError for others."""
    if isinstance(module, nn.Linear):
        return module.in_features
    if isinstance(module, Conv1D):
        return int(module.weight.shape[0])
    raise SubjectError(_why_not_readable(module, name))


def _submodule(model: nn.Module, name: str) -> nn.Module:
    try:
        return model.get_submodule(name)
    except AttributeError as error:
        parent, at = _nearest(model, name)
        if any(_holds_experts(part, part_name) for part_name, part in ((at, parent), *parent.named_children())):
            raise SubjectError(_routed(parent, at)) from error
        raise SubjectError(
            f"The model has no module {name!r}: {str(error).rstrip('.')}. A site needs a module in every layer."
        ) from error


def _nearest(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    """The deepest module on the way to ``name`` that is there, and its name."""
    module, found = model, ""
    for part in name.split("."):
        below = getattr(module, part, None)
        if not isinstance(below, nn.Module):
            break
        module, found = below, f"{found}.{part}".lstrip(".")
    return module, found


def _why_not_readable(module: nn.Module, name: str) -> str:
    kind = type(module).__name__
    linear = list(_linear_below(module))
    if _holds_experts(module, name) or (not linear and any(_holds_experts(m, n) for n, m in module.named_modules())):
        return _routed(module, name)
    if linear:
        shown = ", ".join(f"{name}.{below}" for below in linear[:_SHOWN])
        return f"{name!r} is a block of modules ({kind}). Name the linear module whose inputs are the neurons: {shown}."
    return (
        f"{name!r} is no linear module ({kind}), so what goes into it has no fixed number of neurons. Name the linear "
        "module behind it, whose inputs are its outputs."
    )


def _routed(module: nn.Module, name: str) -> str:
    return (
        f"{name!r} holds routed experts ({type(module).__name__}): each token passes through a few of them, so a "
        "neuron has no value on the other tokens. Routed experts are not supported; dense layers, shared experts and "
        "attention are: name a linear module of these with --module-path."
    )


def _holds_experts(module: nn.Module, name: str) -> bool:
    """Whether this is the routed experts of a mixture: a list of modules, or one whose weights have them all."""
    return "experts" in type(module).__name__.lower() or name.rpartition(".")[2].lower() == "experts"


def _linear_below(module: nn.Module) -> Iterator[str]:
    return (name for name, below in module.named_modules() if name and isinstance(below, nn.Linear | Conv1D))
