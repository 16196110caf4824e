"""Where neurons are read: which modules can be a site, and the errors for those that cannot."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from app.domain.sites import Site, SiteKind
from app.errors import SubjectError
from tests.worker.models import FAMILIES, save_model
from tests.worker.test_checkpoints import change_config
from worker.subjects.load import LoadOptions, load_subject
from worker.subjects.loaded import LoadedSubject
from worker.subjects.single_precision import SinglePrecision
from worker.subjects.sites import open_site, site_path
from worker.subjects.trial_pass import check_by_a_pass

IDS = torch.tensor([[5, 9, 30, 2, 77], [8, 8, 100, 41, 3]])
BERT_PATH = "bert.encoder.layer.{layer}.output.dense"


def load(folder: Path, family: str, path: str | None = None, **options: object) -> LoadedSubject:
    save_model(folder, family)
    return load_subject(str(folder), LoadOptions("cpu", "float32", module_path=path, **options))  # type: ignore[arg-type]  # options of several types


def values_at(subject: LoadedSubject, layer: int) -> Tensor:
    found: dict[int, Tensor] = {}

    def keep(at: int, values: Tensor) -> None:
        found[at] = values.clone()

    subject.activations(IDS, keep)
    return found[layer]


def input_of(subject: LoadedSubject, module: str) -> Tensor:
    """What goes into a module in an ordinary forward pass."""
    seen: list[Tensor] = []
    handle = subject.model.get_submodule(module).register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
    with torch.inference_mode():
        subject.model(IDS)
    handle.remove()
    return seen[0]


def test_a_familys_own_site_is_its_mlps_whoever_names_it(tmp_path: Path) -> None:
    own = load(tmp_path / "a", "llama").info.site
    assert own == Site(SiteKind.MLP_POST_ACTIVATION, "model.layers.{layer}.mlp.down_proj", (24, 24))
    assert load(tmp_path / "b", "llama", own.module_path).info.site == own


@pytest.mark.parametrize(
    ("family", "path", "width"),
    [
        ("llama", "model.layers.{layer}.self_attn.o_proj", 16),
        ("llama", "model.layers.{layer}.mlp.up_proj", 16),
        ("gpt2", "transformer.h.{layer}.attn.c_proj", 16),
        ("gpt2", "transformer.h.{layer}.mlp.c_fc", 16),
        ("bloom", "transformer.h.{layer}.mlp.dense_4h_to_h", 64),
        ("qwen2_moe", "model.layers.{layer}.mlp.shared_expert.down_proj", 12),
        ("qwen2_moe", "model.layers.{layer}.self_attn.o_proj", 16),
    ],
)
def test_the_inputs_of_any_linear_module_are_a_site(tmp_path: Path, family: str, path: str, width: int) -> None:
    subject = load(tmp_path, family, path)
    assert subject.info.site == Site(SiteKind.MODULE_INPUT, path, (width, width))
    assert subject.info.activation_function is None
    for layer in range(2):
        expected = input_of(subject, path.format(layer=layer)).view(2, 5, width)
        torch.testing.assert_close(values_at(subject, layer), expected)


def test_a_stored_site_is_loaded_again_without_its_option(tmp_path: Path) -> None:
    site = load(tmp_path, "bloom", "transformer.h.{layer}.mlp.dense_4h_to_h").info.site
    again = load_subject(str(tmp_path), LoadOptions("cpu", site=Site.from_json(site.as_json())))
    assert again.info.site == site


def test_a_stored_site_of_other_widths_is_refused(tmp_path: Path) -> None:
    site = Site(SiteKind.MLP_POST_ACTIVATION, "model.layers.{layer}.mlp.down_proj", (24, 24, 24))
    with pytest.raises(SubjectError, match="does not have the neurons that the subject was collected with"):
        load(tmp_path, "llama", site=site)


def test_an_unknown_architecture_names_the_known_ones_and_the_way_out() -> None:
    with pytest.raises(SubjectError, match=r"gpt_neox.*--module-path"):
        site_path("bloom")
    with pytest.raises(SubjectError, match=r"no \{layer\}"):
        site_path("bloom", "transformer.h.0.mlp")


@pytest.mark.parametrize(
    ("family", "path", "message"),
    [
        ("llama", "model.layers.{layer}.mlp", r"'model\.layers\.0\.mlp' is a block .*mlp\.gate_proj, .*mlp\.down_proj"),
        ("llama", "model.layers.{layer}", r"'model\.layers\.0' is a block .*self_attn\.q_proj"),
        ("gpt2", "transformer.h.{layer}.mlp", r"is a block .*mlp\.c_fc, .*mlp\.c_proj"),
        ("llama", "model.layers.{layer}.mlp.act_fn", r"act_fn' is no linear module \(SiLU"),
        ("gpt2", "transformer.h.{layer}.mlp.act", r"act' is no linear module \(NewGELU"),
        ("gpt2", "transformer.h.{layer}.mlp.dropout", r"dropout' is no linear module \(Dropout"),
        ("llama", "model.layers.{layer}.input_layernorm", r"is no linear module \(LlamaRMSNorm"),
        ("gpt2", "transformer.h.{layer}.ln_1", r"is no linear module \(LayerNorm"),
        ("qwen2_moe", "model.layers.{layer}.mlp.experts", "holds routed experts .*shared experts and attention are"),
        ("qwen2_moe", "model.layers.{layer}.mlp.experts.0.down_proj", "holds routed experts"),
        ("qwen2_moe", "model.layers.{layer}.mlp.experts.down_proj", "holds routed experts"),
        ("mixtral", "model.layers.{layer}.mlp", "holds routed experts"),
        ("qwen2_moe", "model.layers.{layer}.mlp.down_proj", "holds routed experts .*shared experts and attention are"),
        ("gpt2", "transformer.h.{layer}.mlp.down_proj", r"no module 'transformer\.h\.0\.mlp\.down_proj'"),
        ("gpt2", "transformer.h.1{layer}.mlp.c_proj", r"no module 'transformer\.h\.10\.mlp\.c_proj'.*every layer"),
        ("gpt2", "{layer}", "no module '0'"),
        ("gpt2", "transformer.{x}.{layer}", r"no module 'transformer\.\{x\}\.0'"),
    ],
)
def test_what_cannot_be_a_site_is_refused_in_a_sentence(tmp_path: Path, family: str, path: str, message: str) -> None:
    with pytest.raises(SubjectError, match=message) as raised:
        load(tmp_path, family, path)
    assert "\n" not in raised.value.message


@pytest.mark.parametrize("n_layers", [0, -1])
def test_a_model_without_layers_is_refused(tmp_path: Path, n_layers: int) -> None:
    change_config(save_model(tmp_path, "llama"), num_hidden_layers=n_layers, layer_types=None)
    with pytest.raises(SubjectError, match=f"has no layers: .* {n_layers}"):
        load_subject(str(tmp_path), LoadOptions("cpu"))


def test_a_module_that_tokens_are_routed_to_is_refused_when_it_runs(tmp_path: Path) -> None:
    subject = load(tmp_path, "llama")
    projection = subject.modules[0]
    # A router in front of it, as older mixtures of experts have it: only some rows arrive.
    projection.register_forward_pre_hook(lambda _, args: (args[0].view(-1, 24)[:3],))
    with pytest.raises(SubjectError, match=r"layer 0 \(Linear\) gets 3 of 10 tokens.*experts, are not supported"):
        values_at(subject, 0)


def test_layers_that_share_a_module_or_differ_in_width_are_refused() -> None:
    shared = nn.Linear(4, 2)
    with pytest.raises(SubjectError, match="Several layers share one module at"):
        open_site(nn.ModuleList([shared, shared]), SiteKind.MODULE_INPUT, "{layer}", 2)
    with pytest.raises(SubjectError, match=r"different numbers of neurons at '\{layer\}': 4, 6\. Only"):
        open_site(nn.ModuleList([shared, nn.Linear(6, 2)]), SiteKind.MODULE_INPUT, "{layer}", 2)


def test_a_module_that_is_passed_twice_or_never_is_refused(tmp_path: Path) -> None:
    subject = load(tmp_path, "llama")
    mlp = subject.model.get_submodule("model.layers.0.mlp")
    mlp.register_forward_pre_hook(lambda module, args: (module.forward(args[0]),))
    with pytest.raises(SubjectError, match=r"passes 'model\.layers\.0\.mlp\.down_proj' more than once"):
        check_by_a_pass(subject)
    unused = replace(subject, modules={0: nn.Linear(24, 16), 1: subject.modules[1]})
    with pytest.raises(SubjectError, match=r"does not pass 'model\.layers\.0\.mlp\.down_proj'"):
        check_by_a_pass(unused)


@pytest.mark.parametrize("family", ["bert", "bidirectional_gemma"])
def test_a_model_that_looks_both_ways_is_refused(tmp_path: Path, family: str) -> None:
    path = BERT_PATH if family == "bert" else None
    with pytest.raises(SubjectError, match=r"attends to the tokens after a token too\. Only causal"):
        load(tmp_path, family, path)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_so_is_one_that_hardly_tells_tokens_apart(tmp_path: Path, dtype: str) -> None:
    """With weights as they are initialised, a later token changes less than a thousandth of the largest activation."""
    save_model(tmp_path, "bert", spread=None)
    with pytest.raises(SubjectError, match=r"attends to the tokens after a token too\. Only causal"):
        load_subject(str(tmp_path), LoadOptions("cpu", dtype, module_path=BERT_PATH))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_half_precision_keeps_no_causal_model_out(tmp_path: Path, family: str, dtype: str) -> None:
    save_model(tmp_path, family, spread=None)
    subject = load_subject(str(tmp_path), LoadOptions("cpu", dtype))
    assert {str(values.dtype) for values in subject.model.parameters()} == {f"torch.{dtype}"}  # run in float32 once


def test_single_precision_is_that_of_the_same_weights_in_float32(tmp_path: Path) -> None:
    folder = save_model(tmp_path, "gemma3_text")
    half, tokens = load_subject(str(folder), LoadOptions("cpu", "bfloat16")), torch.arange(12).reshape(2, 6)
    found: list[torch.Tensor] = []
    with SinglePrecision():
        half.activations(tokens, lambda _layer, a: found.append(a.clone()))
    half.model.float()
    half.activations(tokens, lambda _layer, a: found.append(a.clone()))
    assert [a.dtype for a in found] == 4 * [torch.float32]
    for in_the_block, converted in zip(found[:2], found[2:], strict=True):
        torch.testing.assert_close(in_the_block, converted)
