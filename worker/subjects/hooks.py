"""Run a model up to the last layer that is looked at, and hand out its neurons' activations."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from app.errors import SubjectError

Activations = Float[Tensor, "batch tokens neurons"]
OnLayer = Callable[[int, Tensor], Tensor | None]
"""Given a layer and its activations [batch, tokens, neurons]; may answer others to go on with."""


class StopForward(Exception):
    """Ends a forward pass whose rest nobody needs."""


def submodule(model: nn.Module, path: str) -> nn.Module:
    """The module at a dotted path. Raises SubjectError with the path where there is none."""
    try:
        return model.get_submodule(path)
    except AttributeError as error:
        raise SubjectError(f"The model has no module {path!r}: {error}.") from error


@contextmanager
def hooked(modules: Mapping[int, nn.Module], on_layer: OnLayer, *, batch: int, stop: bool) -> Iterator[None]:
    """While open, ``on_layer`` sees the input of each module, layer by layer.

    ``batch`` is the number of rows of the batch: some models flatten it into the tokens. With
    ``stop``, the pass ends at the highest layer.
    """
    last = max(modules)
    handles = [
        module.register_forward_pre_hook(_hook(layer, on_layer, batch, stop=stop and layer == last))
        for layer, module in modules.items()
    ]
    try:
        yield
    except StopForward:
        pass
    finally:
        for handle in handles:
            handle.remove()


def _hook(
    layer: int, on_layer: OnLayer, batch: int, *, stop: bool
) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...] | None]:
    def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        hidden = inputs[0]
        replaced = on_layer(layer, hidden.view(batch, -1, hidden.shape[-1]))
        if stop:
            raise StopForward
        return None if replaced is None else (replaced.view(hidden.shape), *inputs[1:])

    return hook


@torch.inference_mode()
def run_to_layer(
    model: nn.Module, modules: Mapping[int, nn.Module], token_ids: Int[Tensor, "batch tokens"], on_layer: OnLayer
) -> None:
    """One forward pass without a language-model head that ends after the last of ``modules``."""
    with hooked(modules, on_layer, batch=token_ids.shape[0], stop=True):
        model(input_ids=token_ids, use_cache=False)


@torch.inference_mode()
def logits_with(
    model: nn.Module, modules: Mapping[int, nn.Module], token_ids: Int[Tensor, "batch tokens"], on_layer: OnLayer
) -> Float[Tensor, "batch tokens vocabulary"]:
    """The model's logits with the activations that ``on_layer`` puts in place of its own."""
    with hooked(modules, on_layer, batch=token_ids.shape[0], stop=False):
        logits: Tensor = model(input_ids=token_ids, use_cache=False).logits
    return logits
