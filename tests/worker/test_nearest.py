"""The neurons of a layer that are most like each: by the tokens that they fire on, and by their input weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sqlalchemy import select
from transformers import Phi3Config, Phi3ForCausalLM

from app.db import Sessions
from app.models import CollectedNeuron, Neuron
from tests.worker.collecting import FakeModel, a_pass, corpus_of, finished, planned
from tests.worker.tiny_models import save_tiny, tiny_tokenizer
from worker.collection.nearest import NEAREST, layer_nearest, nearest, profiles, unit_rows
from worker.collection.passes import Part
from worker.collection.run import CollectOptions, collect
from worker.subjects.input_weights import input_weights
from worker.subjects.load import LoadOptions, load_subject

WORDS = [("text", "the cat sat on the mat and the dog ran to the import of os and sys in the house " * 40)]


def test_four_neurons_by_hand() -> None:
    firing = unit_rows(np.array([[1.0, 0, 0], [0.9, 0.1, 0], [0, 1, 0], [-1, 0, 0]]))
    assert nearest(firing, None) == [[1], [0, 2], [1], []]
    # The weights say that 0 reads what 2 reads: (0 + 1) / 2 is less than (.99 + .1) / 2.
    weights = unit_rows(np.array([[0.0, 1], [1, 0.1], [0, 1], [-1, 0]]))
    assert nearest(firing, weights)[0] == [1, 2]
    # One kind that is not known counts for nothing, not for 0.
    assert nearest(firing, np.zeros((4, 2)))[0] == [1]


@given(
    arrays(np.float64, (5, 4), elements=st.integers(-6, 6)),
    arrays(np.int64, 5, elements=st.integers(1, 9)),
)
def test_profiles_multiply_to_the_correlation_over_all_tokens(means: np.ndarray, counts: np.ndarray) -> None:
    rows = profiles(means * counts[:, None], counts.astype(np.float64))
    every_token = np.repeat(means, counts, axis=0)
    moving = np.flatnonzero(every_token.std(axis=0) > 0)
    found = rows[moving] @ rows[moving].T
    if len(moving) > 1:
        np.testing.assert_allclose(found, np.corrcoef(every_token[:, moving].T), atol=1e-9)
    assert not rows[np.setdiff1d(np.arange(4), moving)].any()


def test_those_of_a_pass_are_what_all_activations_say(tmp_path: Path) -> None:
    model = FakeModel(neurons=14)
    work = a_pass(tmp_path, planned(tmp_path, 150), model)
    state = finished(work, tmp_path)
    found = layer_nearest(state, 1, work.token_rows, np.ones(14, dtype=np.bool_), None)
    every = model.activations(work.excerpts.tokens(range(150)))[1].reshape(-1, 14).astype(np.float64)
    with np.errstate(invalid="ignore"):
        likeness = np.nan_to_num(np.corrcoef(every.T))
    np.fill_diagonal(likeness, -1)
    assert found[0] == []  # it never moves
    for neuron in range(1, 14):
        order = np.argsort(-likeness[neuron], kind="stable")
        assert found[neuron] == [i for i in order.tolist() if likeness[neuron, i] > 1e-4][:NEAREST]
    unknown = np.arange(14) != 3
    assert layer_nearest(state, 1, work.token_rows, unknown, None)[3] == []


def test_parts_find_the_same(tmp_path: Path) -> None:
    work = a_pass(tmp_path, planned(tmp_path, 150), FakeModel())
    known = np.ones(6, dtype=np.bool_)
    whole = layer_nearest(finished(work, tmp_path), 0, work.token_rows, known, None)
    parts = [work.run(work.pilot(), Part(i, 3), tmp_path, lambda tokens: None) for i in range(3)]
    for part in parts[1:]:
        parts[0].merge(part)
    assert layer_nearest(parts[0], 0, work.token_rows, known, None) == whole


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_input_weights_are_those_that_make_the_neurons(tmp_path: Path, kind: str) -> None:
    subject = load_subject(str(save_tiny(tmp_path, kind)), LoadOptions(device="cpu"))
    found = input_weights(subject, 1)
    assert found is not None
    assert len(found) == subject.info.neurons_per_layer
    names = ["transformer.h.1.mlp.c_fc"] if kind == "gpt2" else [f"model.layers.1.mlp.{p}_proj" for p in ("gate", "up")]
    for name, own in zip(names, np.split(found, len(names), axis=1), strict=True):
        module = subject.model.get_submodule(name)
        # What a module gives for each direction is its weights on it, whatever the layout it keeps them in.
        bias = module(torch.zeros(1, own.shape[1])).detach()
        given_out = (module(torch.eye(own.shape[1])) - bias).detach().double().numpy()
        np.testing.assert_allclose(own, (given_out / np.linalg.norm(given_out, axis=0)).T, atol=1e-5)


def test_a_gate_and_a_value_in_one_module_are_told_apart(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = Phi3Config(
        vocab_size=len(tiny_tokenizer()), hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=128, pad_token_id=0, bos_token_id=0,
        eos_token_id=0,
    )  # fmt: skip
    Phi3ForCausalLM(config).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    found = input_weights(load_subject(str(tmp_path), LoadOptions(device="cpu")), 0)
    assert found is not None
    assert found.shape == (24, 32)


def test_a_site_of_ones_own_has_no_input_weights(tmp_path: Path) -> None:
    options = LoadOptions(device="cpu", module_path="model.layers.{layer}.self_attn.o_proj")
    assert input_weights(load_subject(str(save_tiny(tmp_path)), options), 0) is None


def test_a_collection_stores_them_by_both_measures(sessions: Sessions, tmp_path: Path) -> None:
    subject = load_subject(str(save_tiny(tmp_path / "model", "gpt2")), LoadOptions(device="cpu"))
    collect(sessions, subject, corpus_of("words", WORDS), tmp_path / "work", CollectOptions("tiny", context_length=16))
    with sessions() as session:
        rows = session.execute(select(Neuron.layer, Neuron.index, CollectedNeuron.nearest).join(CollectedNeuron)).all()
    weights = [input_weights(subject, layer) for layer in range(2)]
    assert len(rows) == 2 * subject.info.neurons_per_layer
    cosines = []
    for layer, index, near in rows:
        of_layer = weights[layer]
        assert of_layer is not None
        assert near
        assert len(near) <= NEAREST
        assert index not in near
        others = np.delete(of_layer @ of_layer[index], index)
        cosines.append(float((of_layer[near[:3]] @ of_layer[index]).mean() - others.mean()))
    assert np.mean(cosines) > 0.05  # nearer in weights than others are
