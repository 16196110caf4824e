"""Where each model family has its MLP neurons: one small entry per family.

A neuron is one input of an MLP's output projection. In a gated MLP that is act(gate) * up, else the
activation function's output.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Family:
    """``output_projection``: path of one layer's projection below the model, ``{layer}`` in it; ``input_projections``:
    those of the modules whose outputs the neurons are made of.

    ``activation``: where the configuration names the activation function. ``gated``: whether its
    output is multiplied by a second projection.
    """

    output_projection: str
    input_projections: tuple[str, ...]
    activation: str
    gated: bool = False


_GPT2 = Family("transformer.h.{layer}.mlp.c_proj", ("transformer.h.{layer}.mlp.c_fc",), "activation_function")
_GATED = ("model.layers.{layer}.mlp.gate_proj", "model.layers.{layer}.mlp.up_proj")
_LLAMA = Family("model.layers.{layer}.mlp.down_proj", _GATED, "hidden_act", gated=True)
_GEMMA = replace(_LLAMA, activation="hidden_activation")

FAMILIES = {
    "gpt2": _GPT2,
    "gpt_neo": _GPT2,
    "gpt_neox": Family(
        "gpt_neox.layers.{layer}.mlp.dense_4h_to_h", ("gpt_neox.layers.{layer}.mlp.dense_h_to_4h",), "hidden_act"
    ),
    "opt": Family("model.decoder.layers.{layer}.fc2", ("model.decoder.layers.{layer}.fc1",), "activation_function"),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "gemma": _LLAMA,
    "gemma2": _GEMMA,
    "gemma3_text": _GEMMA,
    "phi": Family("model.layers.{layer}.mlp.fc2", ("model.layers.{layer}.mlp.fc1",), "hidden_act"),
    "phi3": replace(_LLAMA, input_projections=("model.layers.{layer}.mlp.gate_up_proj",)),
}
"""Families by the ``model_type`` of the configuration."""
