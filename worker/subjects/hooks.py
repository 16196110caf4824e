"""Run a model up to the last layer that is looked at, and hand out its neurons' activations."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from app.errors import SubjectError

Activations = Float[Tensor, "batch tokens neurons"]
OnLayer = Callable[[int, Tensor], Tensor | None]
"""Given a layer and its activations [batch, tokens, neurons]; may return others with which the pass continues."""


class StopForward(Exception):
    """Raised to abort the forward pass after the last hooked layer."""


@contextmanager
def hooked(
    modules: Mapping[int, nn.Module], on_layer: OnLayer, *, shape: tuple[int, int], stop: bool
) -> Iterator[None]:
    """While open, ``on_layer`` sees the input of each module, layer by layer.

    ``shape`` is (batch, tokens) of the pass: some models flatten both into one dimension. With ``stop``, the
    pass ends at the highest layer. A module that does not see every token raises SubjectError.
    """
    last = max(modules)
    handles = [
        module.register_forward_pre_hook(_hook(layer, on_layer, shape, stop=stop and layer == last))
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
    layer: int, on_layer: OnLayer, shape: tuple[int, int], *, stop: bool
) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...] | None]:
    def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        hidden = inputs[0] if inputs else None
        if not isinstance(hidden, Tensor) or hidden.shape[:-1].numel() != shape[0] * shape[1]:
            seen = "no tensor" if hidden is None else f"{hidden.shape[:-1].numel()} of {shape[0] * shape[1]} tokens"
            raise SubjectError(
                f"The site's module in layer {layer} ({type(module).__name__}) gets {seen}: a neuron needs a value on "
                "every token. Modules that tokens are routed to, such as experts, are not supported."
            )
        replaced = on_layer(layer, hidden.reshape(*shape, hidden.shape[-1]))
        if stop:
            raise StopForward
        return None if replaced is None else (replaced.reshape(hidden.shape), *inputs[1:])

    return hook


@torch.inference_mode()
def run_to_layer(
    model: nn.Module, modules: Mapping[int, nn.Module], token_ids: Int[Tensor, "batch tokens"], on_layer: OnLayer
) -> None:
    """One forward pass without a language-model head that ends after the last of ``modules``."""
    with hooked(modules, on_layer, shape=(token_ids.shape[0], token_ids.shape[1]), stop=True):
        model(input_ids=token_ids, use_cache=False)


@torch.inference_mode()
def logits_with(
    model: nn.Module, modules: Mapping[int, nn.Module], token_ids: Int[Tensor, "batch tokens"], on_layer: OnLayer
) -> Float[Tensor, "batch tokens vocabulary"]:
    """The model's logits with the activations that ``on_layer`` returns instead of its own."""
    with hooked(modules, on_layer, shape=(token_ids.shape[0], token_ids.shape[1]), stop=False):
        logits: Tensor = model(input_ids=token_ids, use_cache=False).logits
    return logits
