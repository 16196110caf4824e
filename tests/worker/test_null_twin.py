"""A control subject, from the command to its rows: permuted weights, everything else the same."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sqlalchemy import select

from app.db import Sessions
from app.errors import Conflict, NotFound
from app.models import Neuron, Subject
from app.queries.subjects.lookup import stored_subject
from tests.worker.models import save_model
from tests.worker.test_checkpoints import change_weights
from tests.worker.test_collection_run import CORPUS, OPTIONS
from worker.collection.command import CollectArguments
from worker.collection.run import collect
from worker.run.subjects import load_live
from worker.subjects.load import LoadOptions, load_subject
from worker.subjects.loaded import LoadedSubject

TWIN = replace(OPTIONS, slug="tiny-null-twin", name="tiny (null twin)", null_twin_of="tiny")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"))


def loaded(folder: Path, permutation_seed: int | None = None) -> LoadedSubject:
    return load_subject(str(folder), LoadOptions("cpu", "float32", permutation_seed=permutation_seed))


def test_each_tensor_keeps_its_values_in_another_order(folder: Path) -> None:
    model, twin = loaded(folder), loaded(folder, 0)
    for name, own in model.model.named_parameters():
        permuted = twin.model.get_parameter(name)
        assert torch.equal(own.flatten().sort().values, permuted.flatten().sort().values), name
        assert not torch.equal(own, permuted), name


def test_a_seed_makes_the_same_twin_again_and_another_seed_another(folder: Path) -> None:
    first, again, other = loaded(folder, 1), loaded(folder, 1), loaded(folder, 2)
    for name, parameter in first.model.named_parameters():
        assert torch.equal(parameter, again.model.get_parameter(name))
    assert first.info.weights_digest == again.info.weights_digest
    assert len({x.info.weights_digest for x in (first, other, loaded(folder))}) == 3


def test_tied_weights_stay_tied(folder: Path) -> None:
    twin = loaded(folder, 0).model
    assert twin.get_input_embeddings().weight is twin.get_output_embeddings().weight


def test_a_twin_is_collected_under_its_own_name_and_run_again_as_it_was(
    sessions: Sessions, folder: Path, tmp_path: Path
) -> None:
    collect(sessions, loaded(folder), CORPUS, tmp_path, OPTIONS)
    collect(sessions, loaded(folder, 0), CORPUS, tmp_path, TWIN)
    with sessions() as session:
        own, twin = (session.scalars(select(Subject).where(Subject.slug == o.slug)).one() for o in (OPTIONS, TWIN))
        assert (twin.null_twin_of_id, twin.permutation_seed) == (own.id, 0)
        assert (own.null_twin_of_id, own.permutation_seed) == (None, None)
        means = [
            session.scalars(select(Neuron.mean).where(Neuron.subject_id == s.id).order_by(Neuron.id)).all()
            for s in (own, twin)
        ]
        assert len(means[0]) == len(means[1])
        assert means[0] != means[1]
        stored = stored_subject(session, slug="tiny-null-twin")
    live, text = load_live(stored, device="cpu"), ["abc def"]
    (again,) = live.activations(text, layer=0, index=1)
    (of_model,) = load_live(replace(stored, permutation_seed=None, weights_digest=None), device="cpu").activations(
        text, layer=0, index=1
    )
    assert again.activations.tolist() != of_model.activations.tolist()


def test_a_twin_of_nothing_is_refused_and_so_is_another_seed_under_the_same_name(
    sessions: Sessions, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(NotFound, match="'tiny' to make a null twin of"):
        collect(sessions, loaded(folder, 0), CORPUS, tmp_path, TWIN)
    collect(sessions, loaded(folder), CORPUS, tmp_path, OPTIONS)
    collect(sessions, loaded(folder, 0), CORPUS, tmp_path, TWIN)
    with pytest.raises(Conflict, match="permutation_seed"):
        collect(sessions, loaded(folder, 1), CORPUS, tmp_path, TWIN)


@pytest.mark.parametrize(
    ("path", "weights", "differs"),
    [
        ("transformer.h.{layer}.attn.c_proj", 0, "site, neurons_per_layer, activation_function"),
        (None, 1, "weights_digest"),
    ],
)
def test_a_twin_of_another_model_or_another_site_is_refused(
    sessions: Sessions, folder: Path, tmp_path: Path, path: str | None, weights: int, differs: str
) -> None:
    other = change_weights(save_model(tmp_path / "model"), lambda w: {n: t + weights for n, t in w.items()})
    collect(sessions, loaded(folder), CORPUS, tmp_path, OPTIONS)
    twin = load_subject(str(other), LoadOptions("cpu", "float32", module_path=path, permutation_seed=0))
    with pytest.raises(Conflict, match=f"null twin of 'tiny' is the same model .* differs in {differs}"):
        collect(sessions, twin, CORPUS, tmp_path, TWIN)


def test_the_commands_option_names_the_twin_after_its_subject() -> None:
    wanted = CollectArguments(slug="tiny", name="Tiny", seed=3, null_twin=True)
    options = wanted.options("some/model")
    assert (options.slug, options.name, options.null_twin_of) == ("tiny-null-twin", "Tiny (null twin)", "tiny")
    assert wanted.permutation_seed == 3
    assert CollectArguments().options("some/model").null_twin_of is None
