"""A check as a task of the common queue: from a button, and after a collection."""

import uuid
from pathlib import Path
from threading import Event as Signal

import pytest
from sqlalchemy import func, select

from app.db import Sessions, transaction
from app.domain.work import CHECK, Lane
from app.errors import Conflict, NotFound
from app.models import CorpusCheck, Subject, Task
from app.settings import Settings
from app.work.checks import enqueue_check
from tests.worker.collecting import corpus_of, some_text
from tests.worker.models import save_model
from tests.worker.test_check_run import COLLECT, CORPUS_TEXT, TEXTS, explained
from worker.collection.run import collect
from worker.run.checks import CheckHandler
from worker.run.loop import WorkerContext, WorkLoop
from worker.run.services import WorkerServices
from worker.subjects.load import LoadOptions, load_subject
from worker.subjects.loaded import LoadedSubject


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> LoadedSubject:
    folder = save_model(tmp_path_factory.mktemp("model"))
    return load_subject(str(folder), LoadOptions(device="cpu", dtype="float32"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, device="cpu")


def slot(settings: Settings, sessions: Sessions) -> WorkLoop:
    """A worker's slot for work that takes minutes."""
    services = WorkerServices(settings, sessions)
    context = WorkerContext(settings, sessions, {CHECK.name: CheckHandler(services)}, uuid.uuid4(), Signal(), Signal())
    return WorkLoop(context, Lane.BACKGROUND)


def newest_task(sessions: Sessions) -> Task:
    with sessions() as session:
        return session.scalars(select(Task).order_by(Task.id.desc()).limit(1)).one()


def queue(sessions: Sessions) -> int:
    with transaction(sessions) as session:
        return enqueue_check(session, slug="tiny", account_id=None).id


def test_a_worker_checks_what_has_not_been_checked(
    sessions: Sessions, settings: Settings, subject: LoadedSubject
) -> None:
    collect(sessions, subject, CORPUS_TEXT, settings.data_dir / "collections", COLLECT)
    explained(sessions, TEXTS)
    first = queue(sessions)
    assert queue(sessions) == first
    assert slot(settings, sessions).run_one()
    task = newest_task(sessions)
    assert (task.id, task.status, task.result) == (first, "succeeded", {"n_checked": 3, "n_unreadable": 1})
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(CorpusCheck)) == 3
    with pytest.raises(Conflict, match="has been checked"):
        queue(sessions)


def test_a_collection_of_an_explained_subject_is_followed_by_a_check(
    sessions: Sessions, settings: Settings, subject: LoadedSubject
) -> None:
    folder = settings.data_dir / "collections"
    collect(sessions, subject, CORPUS_TEXT, folder, COLLECT)
    with sessions() as session:
        assert session.scalars(select(Task)).all() == []
    explained(sessions, TEXTS)
    collect(sessions, subject, corpus_of("more", some_text(40, seed=1)), folder, COLLECT)
    assert slot(settings, sessions).run_one()
    assert newest_task(sessions).result == {"n_checked": 3, "n_unreadable": 1}


def test_where_the_text_is_not_kept_the_task_says_what_to_do(
    sessions: Sessions, settings: Settings, subject: LoadedSubject
) -> None:
    collect(sessions, subject, CORPUS_TEXT, settings.data_dir / "elsewhere", COLLECT)
    explained(sessions, TEXTS)
    queue(sessions)
    assert slot(settings, sessions).run_one()
    task = newest_task(sessions)
    assert task.status == "failed"
    assert "not kept on this machine" in str(task.error)


def test_a_subject_whose_weights_have_changed_is_not_checked(
    sessions: Sessions, settings: Settings, subject: LoadedSubject
) -> None:
    collect(sessions, subject, CORPUS_TEXT, settings.data_dir / "collections", COLLECT)
    explained(sessions, TEXTS)
    with transaction(sessions) as session:
        session.scalars(select(Subject)).one().weights_digest = "another"
    queue(sessions)
    assert slot(settings, sessions).run_one()
    assert "not the ones" in str(newest_task(sessions).error)


def test_without_a_collection_there_is_nothing_to_queue(sessions: Sessions) -> None:
    with pytest.raises(NotFound, match="complete collection"):
        queue(sessions)
