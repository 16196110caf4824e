"""The budget of loaded subjects with real models: their sizes, what is released, and the default on this machine."""

import gc
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from app.db import Sessions, transaction
from app.domain.sites import SiteKind
from app.errors import Conflict, SubjectError
from app.queries.subjects.lookup import StoredSubject, stored_subject
from app.settings import Settings
from tests.worker.collecting import corpus_of, some_text
from tests.worker.models import FAMILIES, save_model
from worker.checkpoints import empty_model, model_bytes
from worker.collection.run import CollectOptions, collect
from worker.collection.stored_subject import stored_bytes
from worker.devices import device_memory
from worker.run.services import SHARE_OF_MEMORY, WorkerServices
from worker.run.subjects import load_live
from worker.subjects.load import DTYPES, LoadOptions, load_subject

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_size_is_known_before_the_weights_are_read(tmp_path: Path, family: str, dtype: str) -> None:
    folder = save_model(tmp_path, family)
    loaded = load_subject(str(folder), LoadOptions("cpu", dtype))
    assert loaded.n_bytes == model_bytes(empty_model(folder, dtype=DTYPES[dtype]))


def test_tied_weights_count_once(tmp_path: Path) -> None:
    model = load_subject(str(save_model(tmp_path)), LoadOptions("cpu", "float32")).model
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in model.state_dict().values()}
    assert model_bytes(model) == sum(storages.values()) + sum(b.nbytes for b in hidden_buffers(model))


def hidden_buffers(model: Any) -> list[torch.Tensor]:
    """Buffers that a state dictionary leaves out."""
    return [b for name, b in model.named_buffers() if name not in model.state_dict()]


@pytest.fixture
def stored(fresh_sessions: Sessions, tmp_path: Path) -> dict[str, StoredSubject]:
    """Two collected subjects, one of which has a control."""
    for slug, seed in (("first", None), ("second", None), ("second-twin", 0)):
        folder = tmp_path / slug.removesuffix("-twin")
        subject = load_subject(
            str(folder if seed == 0 else save_model(folder)), LoadOptions("cpu", "float32", permutation_seed=seed)
        )
        options = CollectOptions(slug, context_length=8, null_twin_of="second" if seed == 0 else None)
        collect(fresh_sessions, subject, corpus_of("letters", some_text(40)), tmp_path / "collections", options)
    with transaction(fresh_sessions) as session:
        return {slug: stored_subject(session, slug=slug) for slug in ("first", "second", "second-twin")}


def services_with(sessions: Sessions, tmp_path: Path, budget: int | None = None) -> WorkerServices:
    services = WorkerServices(Settings(device="cpu", data_dir=tmp_path), sessions)
    if budget is not None:  # a tiny model is smaller than the megabyte that is the smallest setting
        services.subjects._budget = lambda: budget
    return services


def test_a_text_is_not_tried_at_the_cost_of_a_run_in_progress(
    fresh_sessions: Sessions, stored: dict[str, StoredSubject], tmp_path: Path
) -> None:
    size = stored_bytes(stored["first"], device="cpu")
    services = services_with(fresh_sessions, tmp_path, 2 * size - 1)
    with services.subjects.for_run("first") as subject:
        for slug in ("second", "second-twin"):
            with (
                pytest.raises(Conflict, match=r"no room for second.*: runs use first, "),
                services.subjects.for_trial(slug),
            ):
                raise AssertionError
        assert services.subjects.loaded == (subject,)
        services.subjects._budget = lambda: 2 * size
        with services.subjects.for_trial("second"):
            assert [s.slug for s in services.subjects.loaded] == ["first", "second"]
        with services.subjects.for_trial("second-twin"):
            assert [s.slug for s in services.subjects.loaded] == ["first", "second-twin"]


def test_a_released_model_leaves_memory(
    fresh_sessions: Sessions, stored: dict[str, StoredSubject], tmp_path: Path
) -> None:
    services = services_with(fresh_sessions, tmp_path, stored_bytes(stored["first"], device="cpu"))
    gc.disable()  # a collection at a lucky moment proves nothing
    try:
        with services.subjects.for_trial("first") as subject:
            weight = weakref.ref(next(iter(subject._subject.model.parameters())))  # type: ignore[attr-defined]  # an Any to mypy
        del subject
        with services.subjects.for_trial("second"):
            assert weight() is None
    finally:
        gc.enable()


def test_what_was_measured_is_what_is_loaded(stored: dict[str, StoredSubject]) -> None:
    for subject in stored.values():
        assert load_live(subject, device="cpu").n_bytes == stored_bytes(subject, device="cpu")


def test_an_imported_subject_has_no_size(stored: dict[str, StoredSubject]) -> None:
    site = replace(stored["first"].site, kind=SiteKind.IMPORTED)
    with pytest.raises(SubjectError, match="was imported"):
        stored_bytes(replace(stored["first"], site=site), device="cpu")


def test_the_setting_is_the_budget_and_without_it_a_share_of_the_devices_memory(
    sessions: Sessions, tmp_path: Path
) -> None:
    settings = Settings(device="cpu", data_dir=tmp_path)
    assert WorkerServices(settings, sessions)._subject_budget() == int(SHARE_OF_MEMORY * device_memory(CPU))
    set_by_hand = settings.model_copy(update={"subject_megabytes": 700})
    assert WorkerServices(set_by_hand, sessions)._subject_budget() == 700_000_000


def write_limit(name: str, text: str) -> Callable[[Path], None]:
    def write(cgroups: Path) -> None:
        (cgroups / name).parent.mkdir(parents=True, exist_ok=True)
        (cgroups / name).write_text(text)

    return write


@pytest.mark.parametrize(
    ("write", "limit"),
    [
        (write_limit("memory.max", "1048576\n"), 1 << 20),
        (write_limit("memory.max", "max\n"), None),
        (write_limit("memory.max", f"{1 << 60}\n"), None),
        (write_limit("memory/memory.limit_in_bytes", "2097152\n"), 2 << 20),
        (write_limit("memory/memory.limit_in_bytes", "9223372036854771712\n"), None),
        (lambda cgroups: None, None),
    ],
)
def test_a_containers_limit_is_the_memory_of_its_processor(
    tmp_path: Path, write: Callable[[Path], None], limit: int | None
) -> None:
    write(tmp_path)
    assert device_memory(CPU, cgroups=tmp_path) == (limit or psutil.virtual_memory().total)
