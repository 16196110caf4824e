"""Where each model family has its MLP neurons: one small entry per family.

A neuron is one input of an MLP's output projection. In a gated MLP that is act(gate) * up, else the
activation function's output.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Family:
    """``output_projection``: path of one layer's projection below the model, ``{layer}`` in it.

    ``activation``: where the configuration names the activation function. ``gated``: whether its
    output is multiplied by a second projection.
    """

    output_projection: str
    activation: str
    gated: bool = False


_GPT2 = Family("transformer.h.{layer}.mlp.c_proj", "activation_function")
_LLAMA = Family("model.layers.{layer}.mlp.down_proj", "hidden_act", gated=True)
_GEMMA = Family("model.layers.{layer}.mlp.down_proj", "hidden_activation", gated=True)

FAMILIES = {
    "gpt2": _GPT2,
    "gpt_neo": _GPT2,
    "gpt_neox": Family("gpt_neox.layers.{layer}.mlp.dense_4h_to_h", "hidden_act"),
    "opt": Family("model.decoder.layers.{layer}.fc2", "activation_function"),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "gemma": _LLAMA,
    "gemma2": _GEMMA,
    "gemma3_text": _GEMMA,
    "phi": Family("model.layers.{layer}.mlp.fc2", "hidden_act"),
    "phi3": _LLAMA,
}
"""By the ``model_type`` of the configuration."""
