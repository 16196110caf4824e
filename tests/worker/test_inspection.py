"""A model and a text looked at before a collection, and the collection that a form asks for."""

import uuid
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from threading import Event as Signal
from typing import Any

import pytest
import torch
from sqlalchemy import select

from app.db import Sessions, make_engine, make_sessions, transaction
from app.domain.inspections import Inspection, SubjectRequest
from app.domain.roles import Role
from app.domain.work import COLLECTION, INSPECTION, Lane
from app.errors import CheckpointError, CollectionError, CorpusError, DomainError, Invalid, SubjectError
from app.models import Subject, Task
from app.queries.people.accounts import add_account
from app.settings import Settings
from app.transfer.folders import subject_folders
from app.work.collections import enqueue_inspection, enqueue_requested_collection
from tests.worker.models import FAMILIES, byte_tokenizer, save_model
from worker.collection.inspection import COUNT_SECONDS, count_text, inspect
from worker.collection.state import Shape, State
from worker.corpora.corpus import open_corpus
from worker.run.confinement import check_inputs
from worker.run.handlers import make_handlers
from worker.run.loop import WorkerContext, WorkLoop
from worker.run.services import WorkerServices
from worker.subjects.description import describe
from worker.subjects.load import load_subject
from worker.subjects.loaded import plain_encoder

TEXT = "the cat sat on the mat, again. "


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "text.txt"
    file.write_text(TEXT * 40)
    return file


def request_of(model: Path | str, text: Path | str, **options: Any) -> SubjectRequest:
    return SubjectRequest("tiny", str(model), str(text), **{"context_length": 8, **options})


@pytest.mark.parametrize("family", FAMILIES)
def test_a_description_without_weights_is_what_loading_finds(tmp_path: Path, family: str) -> None:
    folder = save_model(tmp_path / family, family)
    found, loaded = describe(str(folder)), load_subject(str(folder))
    info = loaded.info
    assert (found.site, found.architecture, found.activation_function) == (
        info.site,
        info.architecture,
        info.activation_function,
    )
    assert (found.bos_policy, found.max_positions) == (info.bos_policy, loaded.max_positions)
    assert found.n_parameters == sum(p.numel() for p in loaded.model.parameters())
    assert 0 < found.n_inner < found.n_parameters
    assert found.weight_bytes == sum(f.stat().st_size for f in folder.glob("*.safetensors"))


def test_an_inspection_counts_what_a_collection_would_take_in(tmp_path: Path, text: Path) -> None:
    stages: list[str] = []
    found = inspect(
        request_of(save_model(tmp_path / "m"), text), open_corpus(str(text)), "cpu", lambda stage: stages.append(stage)
    )
    assert (found.n_layers, found.neurons_per_layer, found.n_neurons) == (2, 64, 128)
    assert (found.tokens, found.tokens_are_exact) == (len(TEXT) * 40 // 8 * 8, True)
    kept, sums = State.empty(Shape(2, 64, 8), torch.device("cpu")).n_bytes, 12 * 128 * 260
    assert found.memory_bytes == 4 * found.n_parameters + kept + sums
    assert found.fits
    assert found.seconds > 0
    assert (found.dtype, found.device, len(stages)) == ("float32", "cpu", 3)
    assert Inspection.of(found.as_json()) == found


def test_the_count_ends_at_the_limit(text: Path) -> None:
    encoder = plain_encoder(byte_tokenizer())
    counted = count_text(open_corpus(str(text)), encoder, request_of("m", text, max_tokens=100))
    assert (counted.tokens, counted.is_exact) == (96, True)


def test_the_count_of_a_long_text_ends_after_a_while_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "long.txt"
    file.write_text(TEXT * 100_000)
    ticks = count(step=COUNT_SECONDS + 1)
    counted = count_text(
        open_corpus(str(file)), plain_encoder(byte_tokenizer()), request_of("m", file), clock=lambda: next(ticks)
    )
    assert not counted.is_exact
    assert 0 < counted.tokens < len(TEXT) * 100_000


def test_documents_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.pdf").write_bytes(b"%PDF-1.7")
    with pytest.raises(CorpusError, match=r"a\.pdf: a PDF"):
        count_text(open_corpus(str(folder)), plain_encoder(byte_tokenizer()), request_of("m", folder))
    (folder / "b.txt").write_text(TEXT)
    counted = count_text(open_corpus(str(folder)), plain_encoder(byte_tokenizer()), request_of("m", folder))
    assert counted.left_out == ("a.pdf: a PDF",)


def cut_off(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def without(name: str) -> Any:
    return lambda folder: (folder / name).unlink()


@pytest.mark.parametrize(
    ("family", "damage", "options", "error", "reason"),
    [
        ("gpt2", cut_off, {}, CheckpointError, "m: "),
        ("gpt2", without("model.safetensors"), {}, CheckpointError, "no weights"),
        ("gpt2", without("config.json"), {}, CheckpointError, "m: "),
        ("gpt2", without("tokenizer.json"), {}, DomainError, "tokenizer"),
        ("bloom", lambda folder: None, {}, SubjectError, "architecture 'bloom' is not known"),
        ("gpt2", lambda folder: None, {"context_length": 65}, CollectionError, "1 to 64 tokens"),
    ],
)
def test_a_model_that_cannot_be_collected_is_known_at_once(
    tmp_path: Path, text: Path, family: str, damage: Any, options: dict[str, Any], error: type[Exception], reason: str
) -> None:
    folder = save_model(tmp_path / "m", family)
    damage(folder)
    with pytest.raises(error, match=reason):
        inspect(request_of(folder, text, **options), open_corpus(str(text)), "cpu")


def test_a_page_names_nothing_outside_its_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    (folder,) = subject_folders(settings)
    folder.mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    check_inputs(str(folder), "demo:stdlib", settings)
    check_inputs("openai-community/gpt2", "datasets:org/name:config@train[:10%]", settings)
    monkeypatch.chdir(tmp_path)  # where "secret" would be a folder, and no name of the hub
    for model, corpus in [
        (str(tmp_path / "secret"), "demo:stdlib"),
        (str(folder / "link"), "demo:stdlib"),
        ("secret", "demo:stdlib"),
        ("../x", "demo:stdlib"),
        ("gpt2", str(tmp_path / "secret")),
        ("gpt2", str(folder / "link")),
        ("gpt2", "secret"),
        ("gpt2", "datasets:../secret"),
    ]:
        with pytest.raises(Invalid):
            check_inputs(model, corpus, settings)


class Bench:
    """A worker's slots over a database, and a model and a text where pages may read."""

    def __init__(self, sessions: Sessions, folder: Path) -> None:
        self.sessions = sessions
        self.settings = Settings(data_dir=folder / "data", device="cpu", progress_seconds=0)
        (self.folder,) = subject_folders(self.settings)
        self.model = save_model(self.folder / "model")
        (self.folder / "text.txt").write_text(TEXT * 40)
        self.request = request_of(self.model, self.folder / "text.txt", null_twin=True, name="Tiny")
        with transaction(sessions) as session:
            self.account_id = add_account(session, name="olga", role=Role.OPERATOR).id

    def work(self, lane: Lane) -> bool:
        handlers = make_handlers(WorkerServices(self.settings, self.sessions))
        context = WorkerContext(self.settings, self.sessions, handlers, uuid.uuid4(), Signal(), Signal())
        return WorkLoop(context, lane).run_one()

    def tasks(self, kind: str) -> list[Task]:
        with self.sessions() as session:
            return list(session.scalars(select(Task).where(Task.kind == kind).order_by(Task.id)))


@pytest.fixture
def bench(fresh_database: str, tmp_path: Path) -> Iterator[Bench]:
    engine = make_engine(fresh_database)
    yield Bench(make_sessions(engine), tmp_path)
    engine.dispose()


def test_what_a_form_asks_for_is_inspected_collected_and_followed_by_its_null_twin(bench: Bench) -> None:
    with transaction(bench.sessions) as session:
        enqueue_inspection(session, request=bench.request, account_id=bench.account_id)
    assert bench.work(Lane.INTERACTIVE)
    (task,) = bench.tasks(INSPECTION.name)
    assert task.status == "succeeded", task.error
    assert Inspection.of(task.result or {}).n_neurons == 128
    with transaction(bench.sessions) as session:
        enqueue_requested_collection(session, request=bench.request, account_id=bench.account_id)
    assert bench.work(Lane.BACKGROUND)
    collected, twin = bench.tasks(COLLECTION.name)
    assert (collected.status, twin.status, twin.account_id) == ("succeeded", "queued", bench.account_id)
    assert bench.work(Lane.BACKGROUND)
    assert [task.status for task in bench.tasks(COLLECTION.name)] == ["succeeded", "succeeded"]
    with bench.sessions() as session:
        subjects = {subject.slug: subject for subject in session.scalars(select(Subject))}
    assert set(subjects) == {"tiny", "tiny-null-twin"}
    assert subjects["tiny-null-twin"].null_twin_of_id == subjects["tiny"].id
    assert (subjects["tiny"].name, subjects["tiny-null-twin"].name) == ("Tiny", "Tiny (null twin)")


def test_what_moved_out_of_its_folder_meanwhile_is_not_read(bench: Bench, tmp_path: Path) -> None:
    with transaction(bench.sessions) as session:
        enqueue_requested_collection(session, request=bench.request, account_id=bench.account_id)
    bench.model.rename(tmp_path / "elsewhere")
    bench.model.symlink_to(tmp_path / "elsewhere")
    assert bench.work(Lane.BACKGROUND)
    (task,) = bench.tasks(COLLECTION.name)
    assert (task.status, "not below a folder" in str(task.error)) == ("failed", True)


def test_an_inspection_of_a_missing_folder_fails_with_its_reason(bench: Bench) -> None:
    missing = request_of(bench.folder / "missing", bench.folder / "text.txt")
    with transaction(bench.sessions) as session:
        enqueue_inspection(session, request=missing, account_id=bench.account_id)
    assert bench.work(Lane.INTERACTIVE)
    (task,) = bench.tasks(INSPECTION.name)
    assert (task.status, "There is no" in str(task.error)) == ("failed", True)
