"""Loading a subject, and the activations of every family against an explicit computation."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import AddedToken

from app.errors import CheckpointError, SubjectError
from tests.worker.models import FAMILIES, byte_tokenizer, save_model
from worker.subjects.families import FAMILIES as KNOWN
from worker.subjects.load import LoadOptions, load_subject
from worker.subjects.loaded import LoadedSubject

ON_CPU = LoadOptions(device="cpu", dtype="float32")
IDS = torch.tensor([[5, 9, 30, 2, 77], [8, 8, 100, 41, 3]])


def gelu_tanh(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)))


def plain(first: str, function: Any) -> Any:
    return lambda mlp, x: function(getattr(mlp, first)(x))


def gated(function: Any) -> Any:
    return lambda mlp, x: function(mlp.gate_proj(x)) * mlp.up_proj(x)


def fused_gate(mlp: Any, x: Tensor) -> Tensor:
    gate, up = torch.chunk(mlp.gate_up_proj(x), 2, dim=-1)
    return functional.silu(gate) * up


EXPLICIT = {
    "gpt2": plain("c_fc", gelu_tanh),
    "gpt_neo": plain("c_fc", gelu_tanh),
    "gpt_neox": plain("dense_h_to_4h", functional.gelu),
    "opt": plain("fc1", torch.relu),
    "llama": gated(functional.silu),
    "mistral": gated(functional.silu),
    "qwen2": gated(functional.silu),
    "qwen3": gated(functional.silu),
    "gemma": gated(gelu_tanh),
    "gemma2": gated(gelu_tanh),
    "gemma3_text": gated(gelu_tanh),
    "phi": plain("fc1", gelu_tanh),
    "phi3": fused_gate,
}
"""Neurons from the input of a layer's MLP, for each family."""


def captured(subject: LoadedSubject, ids: Tensor = IDS) -> dict[int, Tensor]:
    found: dict[int, Tensor] = {}

    def keep(layer: int, activations: Tensor) -> None:
        found[layer] = activations.clone()

    subject.activations(ids, keep)
    return found


def test_every_known_family_has_a_test() -> None:
    assert set(EXPLICIT) == set(FAMILIES) == set(KNOWN)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_familys_activations_are_those_computed_by_hand(tmp_path: Path, family: str) -> None:
    subject = load_subject(str(save_model(tmp_path, family)), ON_CPU)
    path, _, _ = KNOWN[family].output_projection.rpartition(".")
    first_module = {"opt": "fc1"}.get(family)
    inputs: dict[int, Tensor] = {}
    blocks = {layer: subject.model.get_submodule(path.format(layer=layer)) for layer in range(2)}
    for layer, block in blocks.items():
        entry = getattr(block, first_module) if first_module else block
        entry.register_forward_pre_hook(lambda _, args, layer=layer: inputs.setdefault(layer, args[0].clone()))

    found = captured(subject)

    assert sorted(found) == [0, 1]
    for layer, block in blocks.items():
        expected = EXPLICIT[family](block, inputs[layer]).view(found[layer].shape)
        assert found[layer].shape == (2, 5, subject.info.neurons_per_layer)
        assert expected.std() > 0.01
        torch.testing.assert_close(found[layer], expected, atol=1e-5, rtol=1e-5)


def test_nothing_behind_the_last_neurons_is_run(tmp_path: Path) -> None:
    subject = load_subject(str(save_model(tmp_path)), ON_CPU)
    run: list[str] = []
    for name in ("lm_head", "transformer.ln_f", "transformer.h.1.mlp.c_proj", "transformer.h.0.mlp.c_proj"):
        subject.model.get_submodule(name).register_forward_hook(lambda *_, name=name: run.append(name))
    captured(subject)
    assert run == ["transformer.h.0.mlp.c_proj"]


def test_bos_precedes_the_excerpt_and_is_removed_again(tmp_path: Path) -> None:
    folder = str(save_model(tmp_path, bos="<|endoftext|>"))
    with_bos = load_subject(folder, LoadOptions(device="cpu", bos="prepend"))
    without = load_subject(folder, LoadOptions(device="cpu", bos="none"))
    ids = torch.cat([torch.zeros((2, 1), dtype=torch.int64), IDS], dim=1)
    torch.testing.assert_close(captured(with_bos)[1], captured(without, ids)[1][:, 1:])


def test_activations_can_be_replaced(tmp_path: Path) -> None:
    subject = load_subject(str(save_model(tmp_path)), ON_CPU)
    same = subject.logits(IDS, lambda layer, a: a.clone())
    ablated = subject.logits(IDS, lambda layer, a: torch.zeros_like(a) if layer == 1 else None)
    torch.testing.assert_close(same, subject.model(IDS).logits)
    assert (same - ablated).abs().max() > 1e-3


def test_what_could_change_an_activation_is_recorded(tmp_path: Path) -> None:
    info = load_subject(str(save_model(tmp_path, "llama")), ON_CPU).info
    assert (info.architecture, info.activation_function) == ("LlamaForCausalLM", "silu, gated")
    assert (info.n_layers, info.neurons_per_layer, info.dtype, info.bos_policy) == (2, 24, "float32", "none")
    assert len(info.weights_digest) == 64


def test_a_device_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nonsense"):
        load_subject(str(tmp_path), LoadOptions(device="nonsense"))


def test_text_that_looks_like_a_special_token_is_text(tmp_path: Path) -> None:
    subject = load_subject(str(save_model(tmp_path)), ON_CPU)
    (ids,) = subject.encode(["a<|endoftext|>"])
    assert 0 not in ids
    assert subject.vocabulary.text(ids) == "a<|endoftext|>"


def with_pad(folder: Path, *, special: bool) -> LoadedSubject:
    """A model whose tokenizer has one token more than it has embeddings, as fine-tunes that add one have it."""
    save_model(folder, "llama")
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens([AddedToken("<pad>", normalized=False, special=special)])
    tokenizer.save_pretrained(folder)
    return load_subject(str(folder), ON_CPU)


def test_a_tokenizer_may_have_more_tokens_than_the_model_has_embeddings(tmp_path: Path) -> None:
    subject = with_pad(tmp_path, special=False)
    assert (len(subject.vocabulary), subject.n_embeddings) == (261, 260)
    assert subject.vocabulary.text(subject.encode(["no such token"])[0]) == "no such token"


def test_a_text_with_a_token_that_the_model_does_not_know_is_an_error(tmp_path: Path) -> None:
    subject = with_pad(tmp_path, special=False)
    with pytest.raises(SubjectError, match=r"holds the token '<pad>' \(id 260\).* 260 embeddings, its tokenizer 261"):
        subject.encode(["good", "a <pad> here"])


def test_a_special_token_beyond_the_embeddings_is_text_like_any_other(tmp_path: Path) -> None:
    subject = with_pad(tmp_path, special=True)
    (ids,) = subject.encode(["a <pad> here"])
    assert subject.vocabulary.text(ids) == "a <pad> here"


def test_a_bos_token_beyond_the_embeddings_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path, "llama")
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"bos_token": "<begin>"})
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(SubjectError, match=r"BOS token \(id 260\) has no embedding .*--bos none"):
        load_subject(str(tmp_path), LoadOptions("cpu", bos="prepend"))
    assert load_subject(str(tmp_path), LoadOptions("cpu", bos="none")).bos_id is None
