"""The site that a subject was collected at is stored, and every later step reads there."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sqlalchemy import select

from app.db import Sessions
from app.domain.activations import SampleKind
from app.domain.arrays import Float32s
from app.domain.sites import Site, SiteKind
from app.errors import CheckpointError, Conflict, SubjectError
from app.models import Neuron, Subject
from app.queries.neurons.records import neuron_records
from app.queries.subjects.lookup import stored_subject
from app.settings import Settings
from tests.worker.collecting import corpus_of, some_text
from tests.worker.models import byte_tokenizer, save_model
from worker.collection.run import CollectOptions, collect
from worker.run.services import WorkerServices
from worker.subjects.load import LoadOptions, load_subject

CORPUS = corpus_of("letters", some_text(40))
SITES = [
    ("llama", "model.layers.{layer}.self_attn.o_proj", 16),
    ("bloom", "transformer.h.{layer}.mlp.dense_4h_to_h", 64),
]
LAYER, INDEX = 1, 7


def collected(sessions: Sessions, folder: Path, family: str, path: str | None, slug: str = "tiny") -> None:
    """Collect a model of this family, which is saved where it is not yet."""
    if not (folder / "model").exists():
        save_model(folder / "model", family)
    subject = load_subject(str(folder / "model"), LoadOptions("cpu", "float32", module_path=path))
    collect(sessions, subject, CORPUS, folder / "unfinished", CollectOptions(slug, 8, shard_excerpts=16))


def services(sessions: Sessions) -> WorkerServices:
    return WorkerServices(Settings(device="cpu", database_url=None), sessions)


def input_of(folder: Path, module: str, ids: np.ndarray) -> Float32s:
    """What goes into a module of the saved model on one row of token ids, [tokens, width]."""
    model = load_subject(str(folder), LoadOptions("cpu", "float32", module_path=SITES[0][1])).model
    seen: list[torch.Tensor] = []
    model.get_submodule(module).register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
    with torch.inference_mode():
        model(torch.from_numpy(ids[None]).long())
    array: Float32s = seen[0][0].numpy()
    return array


@pytest.mark.parametrize(("family", "path", "width"), SITES)
def test_a_site_is_stored_with_its_subject(
    sessions: Sessions, tmp_path: Path, family: str, path: str, width: int
) -> None:
    collected(sessions, tmp_path, family, path)
    with sessions() as session:
        subject = session.scalars(select(Subject)).one()
    assert Site.from_json(subject.site) == Site(SiteKind.MODULE_INPUT, path, (width, width))
    assert (subject.n_layers, subject.neurons_per_layer, subject.activation_function) == (2, width, None)


@pytest.mark.parametrize(("family", "path", "width"), SITES)
def test_trying_an_excerpt_gives_the_activations_that_were_collected(
    sessions: Sessions, tmp_path: Path, family: str, path: str, width: int
) -> None:
    collected(sessions, tmp_path, family, path)
    with sessions() as session:
        neuron = session.scalars(select(Neuron).where(Neuron.layer == LAYER, Neuron.index == INDEX)).one()
        records = neuron_records(session, neuron_id=neuron.id).of(SampleKind.TOP)
    live = services(sessions).live_subject("tiny")
    texts = [str(byte_tokenizer().decode(record.token_ids.tolist())) for record in records[:3]]
    found = live.activations(texts, layer=LAYER, index=INDEX)
    for record, tried in zip(records, found, strict=False):
        np.testing.assert_array_equal(tried.token_ids, record.token_ids)
        np.testing.assert_allclose(tried.activations, record.activations, rtol=2e-3, atol=1e-4)


def test_the_live_neuron_is_the_one_of_the_site_not_of_the_mlp(sessions: Sessions, tmp_path: Path) -> None:
    collected(sessions, tmp_path, "llama", SITES[0][1])
    (record,) = services(sessions).live_subject("tiny").activations(["some text"], layer=LAYER, index=INDEX)
    at_site = input_of(tmp_path / "model", "model.layers.1.self_attn.o_proj", record.token_ids)
    in_mlp = input_of(tmp_path / "model", "model.layers.1.mlp.down_proj", record.token_ids)
    np.testing.assert_allclose(record.activations, at_site[:, INDEX], rtol=1e-5, atol=1e-6)
    assert not np.allclose(record.activations, in_mlp[:, INDEX], atol=1e-3)
    with pytest.raises(SubjectError, match="tiny has no neuron 1/20"):  # the MLP has 24 neurons, the site 16
        services(sessions).live_subject("tiny").activations(["some text"], layer=1, index=20)


def test_ablation_replaces_the_neuron_of_the_site(sessions: Sessions, tmp_path: Path) -> None:
    collected(sessions, tmp_path, "llama", SITES[0][1])
    live = services(sessions).live_subject("tiny")
    (record,) = live.activations(["some text"], layer=LAYER, index=INDEX)
    own = live.log_probabilities(record.token_ids, layer=LAYER, index=INDEX)
    zeros = np.zeros_like(record.activations)
    ablated = live.log_probabilities(record.token_ids, layer=LAYER, index=INDEX, activations=zeros)
    model = load_subject(str(tmp_path / "model"), LoadOptions("cpu", "float32")).model
    model.get_submodule("model.layers.1.self_attn.o_proj").weight[:, INDEX] = 0
    with torch.inference_mode():
        expected = model(torch.from_numpy(record.token_ids[None]).long()).logits[0].log_softmax(-1).numpy()
    np.testing.assert_allclose(ablated, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(own - ablated).max() > 1e-3


def test_another_site_of_a_subject_is_refused_and_can_be_a_subject_of_its_own(
    sessions: Sessions, tmp_path: Path
) -> None:
    collected(sessions, tmp_path, "llama", None)
    with pytest.raises(Conflict, match=r"'tiny', which differs in site, .*Choose another --slug"):
        collected(sessions, tmp_path, "llama", SITES[0][1])
    collected(sessions, tmp_path, "llama", SITES[0][1], slug="tiny-heads")
    with sessions() as session:
        rows = session.execute(select(Subject.slug, Subject.neurons_per_layer).order_by(Subject.slug)).all()
    assert [tuple(row) for row in rows] == [("tiny", 24), ("tiny-heads", 16)]


def test_a_model_that_was_moved_is_found_again_after_its_next_collection(sessions: Sessions, tmp_path: Path) -> None:
    collected(sessions, tmp_path, "llama", None)
    (tmp_path / "moved").mkdir()
    (tmp_path / "model").rename(tmp_path / "moved" / "model")
    with pytest.raises(CheckpointError, match="neither a folder nor"):
        services(sessions).live_subject("tiny")
    collected(sessions, tmp_path / "moved", "llama", None)
    assert services(sessions).live_subject("tiny").slug == "tiny"


def test_weights_that_have_changed_since_are_refused(sessions: Sessions, tmp_path: Path) -> None:
    collected(sessions, tmp_path, "llama", None)
    model = load_subject(str(tmp_path / "model"), LoadOptions("cpu", "float32")).model
    with torch.no_grad():
        model.lm_head.weight += 1
    model.save_pretrained(tmp_path / "model")
    with pytest.raises(SubjectError, match="not the ones that tiny was collected with"):
        services(sessions).live_subject("tiny")


def test_the_dtype_is_that_of_the_collection_that_is_shown(sessions: Sessions, tmp_path: Path) -> None:
    collected(sessions, tmp_path, "llama", None)
    subject = load_subject(str(tmp_path / "model"), LoadOptions("cpu", "bfloat16"))
    collect(sessions, subject, CORPUS, tmp_path / "unfinished", CollectOptions("tiny", 8))
    with sessions() as session:
        assert stored_subject(session, slug="tiny").dtype == "bfloat16"
