"""What is loaded is what was saved, or the error is a sentence with the reason."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from app.errors import CheckpointError, ProviderError
from tests.worker.models import save_model
from worker.checkpoints import checkpoint_folder, read_config, read_model, read_tokenizer
from worker.providers.local import load_local
from worker.subjects.load import LoadOptions, load_subject
from worker.weight_files import weights_digest

Weights = Mapping[str, Tensor]


def change_weights(folder: Path, change: Callable[[Weights], Weights]) -> Path:
    file = folder / "model.safetensors"
    save_file(dict(change(load_file(file))), file, metadata={"format": "pt"})
    return folder


def change_config(folder: Path, **values: object) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))
    return folder


def without(part: str) -> Callable[[Weights], Weights]:
    return lambda weights: {name: tensor for name, tensor in weights.items() if part not in name}


def read(folder: Path) -> Any:
    return read_model(folder, dtype=torch.float32)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "base_model.model."])
@pytest.mark.parametrize("family", ["llama", "gpt2", "phi3"])
def test_weights_under_other_names_are_an_error_that_names_some(tmp_path: Path, family: str, prefix: str) -> None:
    folder = change_weights(save_model(tmp_path, family), lambda w: {prefix + name: t for name, t in w.items()})
    with pytest.raises(CheckpointError, match=rf"lack \d+ of the model's weights.*lm_head\.weight.*{prefix!r}"):
        read(folder)


@pytest.mark.parametrize("part", ["mlp.down_proj", "layers.1.", "embed_tokens", "lm_head", "norm"])
def test_a_part_that_is_missing_is_an_error(tmp_path: Path, part: str) -> None:
    folder = change_weights(save_model(tmp_path, "llama"), without(part))
    with pytest.raises(CheckpointError, match=f"lack .*{part}.*random numbers"):
        read(folder)


def test_more_layers_than_the_weights_have_are_missing_weights(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"lack 9 .*model\.layers\.2\."):
        read(change_config(save_model(tmp_path, "llama"), num_hidden_layers=3))


def test_a_head_that_is_tied_to_the_embeddings_need_not_be_there(tmp_path: Path) -> None:
    folder = change_config(save_model(tmp_path, "llama"), tie_word_embeddings=True)
    model = read(change_weights(folder, without("lm_head"))).model
    assert model.lm_head.weight.data_ptr() == model.get_input_embeddings().weight.data_ptr()


def test_weights_that_are_not_used_are_a_note_that_reaches_the_subject(tmp_path: Path) -> None:
    folder = change_weights(save_model(tmp_path, "llama"), lambda w: {**w, "score.weight": torch.zeros(2)})
    (note,) = load_subject(str(folder), LoadOptions("cpu")).notes
    assert note == "1 weights in the files are not used by this architecture: score.weight"


def test_a_model_without_a_head_in_front_of_its_names_is_read(tmp_path: Path) -> None:
    whole = read(save_model(tmp_path / "whole")).model
    base = change_weights(
        save_model(tmp_path / "base"), lambda w: {n.removeprefix("transformer."): t for n, t in w.items()}
    )
    found = read(base)
    assert found.notes == ()
    torch.testing.assert_close(dict(found.model.named_parameters()), dict(whole.named_parameters()))


def test_two_loads_give_the_same_weights_and_digest(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "one", "llama")
    first, second = load_subject(str(folder), LoadOptions("cpu")), load_subject(str(folder), LoadOptions("cpu"))
    assert first.info == second.info
    torch.testing.assert_close(first.model.state_dict(), second.model.state_dict(), rtol=0, atol=0)
    assert weights_digest(save_model(tmp_path / "same", "llama")) == first.info.weights_digest
    changed = change_weights(save_model(tmp_path / "other", "llama"), lambda w: {n: t + 1e-3 for n, t in w.items()})
    assert weights_digest(changed) != first.info.weights_digest


def test_files_that_are_not_loaded_do_not_count_for_the_digest(tmp_path: Path) -> None:
    folder = save_model(tmp_path)
    before = weights_digest(folder)
    (folder / "consolidated.safetensors").write_bytes(b"the same in another layout")
    assert weights_digest(folder) == before


def test_shards_of_an_index_are_all_read_and_all_in_the_digest(tmp_path: Path) -> None:
    whole = read(save_model(tmp_path / "whole", "llama")).model
    whole.save_pretrained(tmp_path / "shards", max_shard_size="4KB")
    torch.testing.assert_close(read(tmp_path / "shards").model.state_dict(), whole.state_dict())
    before = weights_digest(tmp_path / "shards")
    last = sorted((tmp_path / "shards").glob("*.safetensors"))[-1]
    save_file({name: t + 1 for name, t in load_file(last).items()}, last, metadata={"format": "pt"})
    assert weights_digest(tmp_path / "shards") != before
    last.unlink()
    with pytest.raises(CheckpointError, match=rf"{last.name}, which .*index\.json names, is missing"):
        read(tmp_path / "shards")


@pytest.mark.parametrize(
    "quantised",
    [
        {"quant_method": "gptq", "bits": 4},
        {"quant_method": "bitsandbytes", "load_in_4bit": True},
        {"quant_method": "awq", "bits": 4},
        {"quant_method": "fp8"},
        {"quant_method": "compressed-tensors"},
        {"quant_method": "a method of tomorrow"},
        {"bits": 4},
    ],
)
def test_quantised_weights_are_refused_in_a_sentence(tmp_path: Path, quantised: dict[str, object]) -> None:
    method = quantised.get("quant_method", "method not named")
    with pytest.raises(CheckpointError, match=rf"is quantised \({method}\).*float32"):
        read(change_config(save_model(tmp_path, "llama"), quantization_config=quantised))


@pytest.mark.parametrize(
    ("quantised", "method"),
    [
        ([{"quant_method": "gptq"}, {"quant_method": "gptq"}, {"quant_method": "awq"}], "gptq, awq"),
        ([], "method not named"),
        ("awq", "awq"),
        (4, "method not named"),
    ],
)
def test_a_malformed_account_of_quantising_is_refused_with_what_it_names(
    tmp_path: Path, quantised: object, method: str
) -> None:
    with pytest.raises(CheckpointError, match=rf"is quantised \({method}\).*float32"):
        read(change_config(save_model(tmp_path, "llama"), quantization_config=quantised))


@pytest.mark.parametrize("values", [{"intermediate_size": 20}, {"vocab_size": 99}, {"hidden_size": 32}])
def test_sizes_that_do_not_fit_the_weights_are_named(tmp_path: Path, values: dict[str, int]) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json does not fit \d+ of the weights: .* is \[\d+, \d+\], not"):
        read(change_config(save_model(tmp_path, "llama"), **values))


@pytest.mark.parametrize(
    "values",
    [{"hidden_act": "no such one"}, {"num_attention_heads": "two"}, {"num_attention_heads": 0}, {"model_type": 7}],
)
def test_a_configuration_that_makes_no_sense_is_one_line(tmp_path: Path, values: dict[str, object]) -> None:
    with pytest.raises(CheckpointError) as raised:
        read(change_config(save_model(tmp_path, "llama"), **values))
    assert raised.value.message.startswith(f"{tmp_path.name}: ")
    assert "\n" not in raised.value.message


def test_a_model_that_needs_code_of_its_own_is_refused(tmp_path: Path) -> None:
    folder = change_config(save_model(tmp_path), model_type="own", auto_map={"AutoConfig": "configuration_own.Own"})
    with pytest.raises(CheckpointError, match="needs Python code from its own repository, which is never run"):
        read(folder)


def test_an_adapter_is_refused(tmp_path: Path) -> None:
    (save_model(tmp_path) / "adapter_config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="is an adapter, not a model: merge it"):
        read_config(tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model-q4.gguf", "weights.safetensors"])
def test_weights_that_are_not_read_are_refused_with_what_to_do(tmp_path: Path, name: str) -> None:
    (save_model(tmp_path) / "model.safetensors").rename(tmp_path / name)
    with pytest.raises(CheckpointError, match=r"has no weights: .*convert the weights to safetensors"):
        read(tmp_path)


@pytest.mark.parametrize("damage", [lambda data: b"no weights at all", lambda data: data[: len(data) // 2]])
def test_damaged_weights_are_reported_with_the_files_name(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    file = save_model(tmp_path) / "model.safetensors"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(CheckpointError, match=rf"^{tmp_path.name}: model.safetensors is damaged or cut off[^\n]*$"):
        read(tmp_path)


def test_what_git_leaves_in_place_of_weights_is_said_to_be_that(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    (save_model(tmp_path) / "model.safetensors").write_text(pointer)
    with pytest.raises(CheckpointError, match="run git lfs pull"):
        read(tmp_path)


def test_a_folder_without_a_model_is_reported_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"^{tmp_path.name}: [^\n]*config\.json[^\n]*$"):
        read(tmp_path)


def test_a_folder_without_a_tokenizer_is_reported_with_what_to_do(tmp_path: Path) -> None:
    folder = save_model(tmp_path)
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(
        CheckpointError, match=r"has no tokenizer: put the tokenizer\.json of its model into the folder"
    ):
        read_tokenizer(folder)


def test_a_damaged_tokenizer_is_reported_with_what_it_lacks(tmp_path: Path) -> None:
    (save_model(tmp_path) / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r": there is no 'added_tokens'$"):
        read_tokenizer(tmp_path)


@pytest.mark.parametrize("index", ["[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": 5}}'])
def test_an_index_that_names_no_files_is_no_weights(tmp_path: Path, index: str) -> None:
    (save_model(tmp_path) / "model.safetensors").rename(tmp_path / "model.safetensors.index.json")
    (tmp_path / "model.safetensors.index.json").write_text(index)
    with pytest.raises(CheckpointError, match="has no weights"):
        read(tmp_path)


def test_a_reason_that_only_announces_others_is_told_with_them(tmp_path: Path) -> None:
    folder = save_model(tmp_path, "llama")
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text("{}")
    with pytest.raises(CheckpointError) as error:
        read_tokenizer(folder)
    assert not str(error.value).endswith(":")


def test_a_name_that_is_no_folder_and_no_hub_id_is_refused() -> None:
    with pytest.raises(CheckpointError, match="'/nowhere/at all' is neither a folder nor the name of a model"):
        checkpoint_folder("/nowhere/at all")


def test_a_language_model_with_missing_weights_is_not_asked(tmp_path: Path) -> None:
    folder = change_weights(save_model(tmp_path, "llama"), without("down_proj"))
    with pytest.raises(ProviderError, match=r"lack 2 .*down_proj") as raised:
        load_local("default", str(folder), device="cpu", options={})
    assert raised.value.permanent
