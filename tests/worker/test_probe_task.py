"""A language model that is tried from the browser: the task's result, and what stays with the provider."""

import uuid
from contextlib import closing
from pathlib import Path
from threading import Event as Signal

from app.db import Sessions, transaction
from app.domain.language_models import ProviderKind
from app.domain.work import PROBE, Lane
from app.models import Task
from app.queries.language_models.providers import (
    ProviderSettings,
    add_provider,
    disable_provider,
    provider_named,
    set_key,
)
from app.secrets import SecretBox
from app.settings import Settings
from app.work.probes import enqueue_probe
from tests.factories import Make
from tests.llm_server import Answer, Behaviour, Body, Fail, LlmServer, plain_brain
from worker.run.handlers import make_handlers
from worker.run.loop import WorkerContext, WorkLoop
from worker.run.services import WorkerServices


def queue(make: Make, url: str) -> int:
    chosen = ProviderSettings(ProviderKind.OPENAI_COMPATIBLE, "m", url, allowed_networks=("127.0.0.0/8",))
    provider = add_provider(make.session, name="house", settings=chosen)
    return enqueue_probe(make.session, provider_id=provider.id, account_id=make.account().id).id


def work(sessions: Sessions, settings: Settings, task_id: int) -> Task:
    with closing(WorkerServices(settings, sessions)) as services:
        context = WorkerContext(settings, sessions, make_handlers(services), uuid.uuid4(), Signal(), Signal())
        assert WorkLoop(context, Lane.INTERACTIVE).run_one()
    with transaction(sessions) as session:
        return session.get_one(Task, task_id)


def chat_alone(body: Body) -> Behaviour:
    return Fail(400, "no such thing") if "prompt" in body or "logprobs" in body else plain_brain(body)


def test_what_it_can_do_and_why_not_the_rest_is_found_with_its_key(
    sessions: Sessions, make: Make, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path)
    with LlmServer(brain=chat_alone) as server:
        task_id = queue(make, server.url)
        house = provider_named(make.session, name="house")
        set_key(make.session, provider_id=house.id, key="typed in a browser", box=SecretBox(tmp_path))
        make.session.flush()
        task = work(sessions, settings, task_id)
        assert {headers["authorization"] for headers in server.headers} == {"Bearer typed in a browser"}
    assert task.status == "succeeded"
    assert task.result is not None
    assert task.result["can"] == "chat, json_schema"
    assert "no such thing" in task.result["not_chat_logprobs"]
    make.session.expire_all()
    assert provider_named(make.session, name="house").capabilities == ["chat", "json_schema"]
    assert PROBE.result_address(task.id, task.parameters) == f"/providers/{task.parameters['provider_id']}"


def test_one_that_is_down_fails_at_once_with_the_reason(sessions: Sessions, make: Make, tmp_path: Path) -> None:
    with LlmServer(brain=lambda _body: Fail(401, "who are you")) as server:
        task = work(sessions, Settings(data_dir=tmp_path), queue(make, server.url))
    assert task.status == "failed"
    assert "who are you" in (task.error or "")
    make.session.expire_all()
    assert "who are you" in (provider_named(make.session, name="house").probe_error or "")


def test_a_disabled_one_can_be_tried(sessions: Sessions, make: Make, tmp_path: Path) -> None:
    with LlmServer(brain=lambda _body: Answer("fine")) as server:
        task_id = queue(make, server.url)
        disable_provider(make.session, provider_id=provider_named(make.session, name="house").id)
        make.session.flush()
        assert work(sessions, Settings(data_dir=tmp_path), task_id).status == "succeeded"
