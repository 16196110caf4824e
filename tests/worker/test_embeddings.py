"""Embeddings of explanations and of searches, made by a worker."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sqlalchemy import func, select, text

from app.db import Sessions, transaction
from app.domain.embeddings import unit_vectors
from app.domain.work import EMBEDDING, Lane, WorkStatus
from app.errors import Unavailable
from app.models import EmbeddingModel, LlmCall, QueryEmbedding, Spending, Task
from app.queries.embeddings.lookup import nearness
from app.queries.embeddings.source import embedding_source
from app.queries.embeddings.tables import has_embedding_table, make_embedding_table, version_of
from app.schema import check_schema, downgrade, migrate
from app.settings import Settings
from app.work.embeddings import enqueue_new_explanations
from app.work.tasks import cancel_task, retry_task
from tests.llm_server import Behaviour, Edited, Fail, LlmServer, embedding_of
from tests.worker.embedding_site import EmbeddingSite
from tests.worker.tiny_models import save_tiny, tiny_model, tiny_tokenizer
from worker.providers.local_embedding import load_local_embedder
from worker.run.upkeep import Upkeep

TEXTS = ("fires on cats", "fires on <b>dogs</b> \u202e", "fires on cats", "numbers in years")


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with LlmServer() as found:
        yield found


@pytest.fixture
def site(fresh_sessions: Sessions, tmp_path: Path, server: LlmServer) -> EmbeddingSite:
    built = EmbeddingSite(fresh_sessions, tmp_path, *TEXTS)
    built.use_endpoint(server.url, price_in=1_000_000.0)
    return built


def cosine(left: list[float], right: list[float]) -> float:
    return float(np.dot(left, right) / np.linalg.norm(left) / np.linalg.norm(right))


def test_every_explanation_is_embedded_and_equal_texts_once(site: EmbeddingSite, server: LlmServer) -> None:
    site.queue()
    task = site.work()
    assert task.status == WorkStatus.SUCCEEDED, task.error
    assert task.result is not None
    assert (task.result["n_embedded"], task.result["n_copied_from_equal_texts"]) == (3, 1)
    assert [body["input"] for body in server.requests] == [list(dict.fromkeys(TEXTS))]
    assert (server.paths, server.requests[0]["model"]) == (["/v1/embeddings"], "letters")
    stored = site.stored()
    assert [explanation for _, explanation in sorted(stored)] == site.explanations
    for (_, explanation), embedding in stored.items():  # the reply's order was its own
        expected = embedding_of(TEXTS[site.explanations.index(explanation)])
        assert cosine(embedding, expected) == pytest.approx(1.0, abs=1e-5)
        assert np.linalg.norm(embedding) == pytest.approx(1.0, abs=1e-3)


def test_calls_are_recorded_and_paid_for_without_their_embeddings(site: EmbeddingSite) -> None:
    task_id = site.queue()
    site.work()
    with transaction(site.sessions) as session:
        (call,) = session.scalars(select(LlmCall)).all()
        spent = session.scalars(select(Spending.spent).where(Spending.account_id == site.alice_id)).one()
    assert (call.task_id, call.step, call.outcome, call.parser_version) == (task_id, "embed", "ok", "embeddings/1")
    assert (call.tokens_out, call.is_estimated, call.returned_model) == (0, False, "letters-0125")
    assert call.price == spent == call.tokens_in
    assert "embedding" not in json.dumps(call.reply).replace("embeddings", "")


def test_a_cap_ends_the_task_before_it_is_passed(site: EmbeddingSite, server: LlmServer) -> None:
    site.queue(price_cap=1.0)
    task = site.work()
    assert task.status == WorkStatus.FAILED
    assert "cap of 1 is reached" in str(task.error)
    assert server.n_requests == 0


def test_what_was_embedded_stays_and_only_the_rest_is_sent_again(site: EmbeddingSite, server: LlmServer) -> None:
    server.script.extend([Edited(lambda body: body), Fail(401)])
    task_id = site.queue()
    failed = site.work(texts_at_once=1)
    assert (failed.status, len(site.stored())) == (WorkStatus.FAILED, 1)
    assert "key" in str(failed.error)
    server.requests.clear()
    with transaction(site.sessions) as session:
        retry_task(session, task_id=task_id, account_id=site.alice_id)
    assert site.work(texts_at_once=1).status == WorkStatus.SUCCEEDED
    assert [body["input"] for body in server.requests] == [[TEXTS[1]], [TEXTS[3]]]
    assert len(site.stored()) == len(TEXTS)


def test_a_cancelled_task_ends_at_its_next_report(site: EmbeddingSite, server: LlmServer) -> None:
    task_id = site.queue()

    def cancel(body: Any) -> Any:
        with transaction(site.sessions) as session:
            cancel_task(session, task_id=task_id, account_id=site.alice_id)
        return body

    server.script.append(Edited(cancel))
    task = site.work(texts_at_once=1)
    assert (task.status, task.result, server.n_requests) == (WorkStatus.CANCELLED, None, 1)
    assert len(site.stored()) == 1


def edited(change: Callable[[list[Any]], Any]) -> Behaviour:
    def edit(body: dict[str, Any]) -> dict[str, Any]:
        change(body["data"])
        return body

    return Edited(edit)


UNUSABLE: dict[str, Callable[[list[Any]], Any]] = {
    "not a finite number": lambda data: data[0]["embedding"].__setitem__(3, float("nan")),
    "a finite number": lambda data: data[0]["embedding"].__setitem__(3, 1e999),
    "is not a list of numbers": lambda data: data[0].update(embedding="AAAA"),
    "different lengths": lambda data: data[0]["embedding"].pop(),
    "3 texts were sent, and 2 embeddings": lambda data: data.pop(),
    "numbered from 0 to 2": lambda data: data[0].update(index=1),
    "only zeros": lambda data: data[0].update(embedding=[0] * 26),
    "0 numbers": lambda data: [entry.update(embedding=[]) for entry in data],
    "5000 numbers": lambda data: [entry.update(embedding=[1.0] * 5_000) for entry in data],
}


@pytest.mark.parametrize("reason", UNUSABLE)
def test_an_unusable_reply_is_a_failure_with_its_reason(site: EmbeddingSite, server: LlmServer, reason: str) -> None:
    server.brain = lambda _body: edited(UNUSABLE[reason])
    site.queue()
    task = site.work()
    assert task.status == WorkStatus.FAILED
    assert reason in str(task.error)
    assert site.stored() == {}
    with transaction(site.sessions) as session:
        assert set(session.scalars(select(LlmCall.outcome))) <= {"unparsable", "failed"}
        assert session.scalar(select(func.count()).select_from(EmbeddingModel)) == 0


def test_a_model_that_changes_its_dimensions_is_refused(site: EmbeddingSite, server: LlmServer) -> None:
    site.queue()
    site.work()
    server.brain = lambda _body: edited(lambda data: [entry.update(embedding=[1.0, 2.0]) for entry in data])
    site.search("animals")
    task = site.work(Lane.INTERACTIVE)
    assert task.status == WorkStatus.FAILED
    assert "an embedding has 2 numbers, and earlier ones of this model have 26" in str(task.error)


def test_a_search_is_embedded_once_and_found_by_its_text(site: EmbeddingSite, server: LlmServer) -> None:
    first = site.search("ANIMALS <b>")
    assert site.search("ANIMALS <b>") == first
    assert site.work(Lane.INTERACTIVE).status == WorkStatus.SUCCEEDED
    source = embedding_source(site.settings)
    assert source is not None
    with transaction(site.sessions) as session:
        near = nearness(session, source=source, text="ANIMALS <b>")
        assert nearness(session, source=source, text="animals <b>") is None
        assert session.scalar(select(func.count()).select_from(QueryEmbedding)) == 1
    assert near is not None
    assert cosine(list(near.vector), embedding_of("ANIMALS <b>")) == pytest.approx(1.0, abs=1e-5)
    assert server.n_requests == 1


def test_another_model_embeds_anew_and_is_never_mixed(site: EmbeddingSite, server: LlmServer, tmp_path: Path) -> None:
    site.queue()
    site.work()
    site.use_endpoint(server.url, model="other")
    site.search("animals")
    site.work(Lane.INTERACTIVE)
    site.queue()
    assert site.work().status == WorkStatus.SUCCEEDED
    site.use_folder(save_tiny(tmp_path / "model"))
    site.queue()
    assert site.work().status == WorkStatus.SUCCEEDED
    models = {model for model, _ in site.stored()}
    assert len(models) == 3
    assert len(site.stored()) == 3 * len(TEXTS)
    first = embedding_source(Settings(embedding_provider="house"))
    assert first is not None
    with transaction(site.sessions) as session:
        assert nearness(session, source=first, text="animals") is None


def test_a_worker_with_another_model_refuses(site: EmbeddingSite) -> None:
    site.queue()
    site.settings = Settings(data_dir=site.folder, embedding_provider="house", embedding_model="other")
    task = site.work()
    assert task.status == WorkStatus.FAILED
    assert "another embedding model" in str(task.error)


def test_a_model_on_the_worker_pools_the_tokens_of_each_text(fresh_sessions: Sessions, tmp_path: Path) -> None:
    texts = ("the cat sat", "import os 1 2 3 4 5 6 7 8 9 10 and more", "<end> is no special token")
    site = EmbeddingSite(fresh_sessions, tmp_path, *texts)
    site.use_folder(save_tiny(tmp_path / "model"))
    site.queue()
    task = site.work()
    assert task.status == WorkStatus.SUCCEEDED, task.error
    for (_, explanation), embedding in site.stored().items():
        ids = tiny_tokenizer()(texts[site.explanations.index(explanation)], split_special_tokens=True)["input_ids"]
        with torch.inference_mode():
            hidden = tiny_model("llama").model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        assert cosine(embedding, hidden.mean(dim=0).tolist()) == pytest.approx(1.0, abs=1e-4)
    assert not (set(tiny_tokenizer()("<end>", split_special_tokens=True)["input_ids"]) & {0})


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_texts_beside_it_change_no_embedding(tmp_path: Path, kind: str) -> None:
    embedder = load_local_embedder(str(save_tiny(tmp_path / kind, kind)), device="cpu")
    alone = embedder.embed(["cat"])[0]
    beside = embedder.embed(["cat", "a neuron that fires on numbers: 1 2 3 4 5 6 7 8 9 10", ""])
    assert beside[0] == pytest.approx(alone, abs=1e-4)
    assert np.isfinite(beside).all()
    assert embedder.embed(["the cat " * 2_000]).shape == (1, 32)


def test_another_model_in_the_same_folder_is_noticed(fresh_sessions: Sessions, tmp_path: Path) -> None:
    site = EmbeddingSite(fresh_sessions, tmp_path, *TEXTS)
    site.use_folder(save_tiny(tmp_path / "model"))
    site.queue()
    site.work()
    save_tiny(tmp_path / "model", "gpt2")
    site.search("cats")
    assert site.work(Lane.INTERACTIVE).status == WorkStatus.SUCCEEDED
    source = embedding_source(site.settings)
    assert source is not None
    with transaction(site.sessions) as session:
        near = nearness(session, source=source, text="cats")
        assert near is not None
        newest = session.scalars(select(func.max(EmbeddingModel.id))).one()
    assert near.model_id == newest
    assert {model for model, _ in site.stored()} != {newest}


def test_a_folder_that_is_none_is_a_failure_with_its_reason(fresh_sessions: Sessions, tmp_path: Path) -> None:
    site = EmbeddingSite(fresh_sessions, tmp_path, *TEXTS)
    site.use_folder(tmp_path / "nothing")
    site.queue()
    assert "There is no folder" in str(site.work().error)


def test_new_explanations_are_queued_by_the_next_upkeep_for_whoever_had_the_others_embedded(
    site: EmbeddingSite, server: LlmServer
) -> None:
    source = embedding_source(site.settings)
    assert source is not None

    def queued() -> list[Task]:
        with transaction(site.sessions) as session:
            enqueue_new_explanations(session, source=source)
            waiting = select(Task).where(Task.kind == EMBEDDING.name, Task.status == WorkStatus.QUEUED)
            return list(session.scalars(waiting))

    assert queued() == []  # nobody has asked for embeddings of this subject
    site.queue(price_cap=1_000.0)
    site.work()
    assert queued() == []  # nothing is new
    new = site.write("new <i>text</i>")
    (task,) = queued()
    assert (task.account_id, task.parameters["price_cap"]) == (site.alice_id, 1_000.0)
    assert len(queued()) == 1
    site.work()
    assert new in {explanation for _, explanation in site.stored()}
    assert server.requests[-1]["input"] == ["new <i>text</i>"]
    server.script.append(Fail(401))
    site.write("another")
    queued()
    site.work()
    assert queued() == []  # a person has to look at the failure first


def test_upkeep_queues_nothing_where_no_model_is_set(site: EmbeddingSite) -> None:
    site.queue()
    site.work()
    site.write("new")
    n = "SELECT count(*) FROM task WHERE status = 'queued'"
    Upkeep(Settings(data_dir=site.folder), site.sessions).look()
    with transaction(site.sessions) as session:
        assert session.scalar(text(n)) == 0
    Upkeep(site.settings, site.sessions).look()
    with transaction(site.sessions) as session:
        assert session.scalar(text(n)) == 1


def test_a_database_without_pgvector_says_what_to_do(site: EmbeddingSite) -> None:
    nothing = "SELECT 'x' AS name, '1' AS default_version WHERE false"
    with transaction(site.sessions) as session:
        assert not has_embedding_table(session)  # the migrations have made none
        session.execute(text(f"CREATE TEMPORARY VIEW pg_available_extensions AS {nothing}"))
        with pytest.raises(Unavailable, match="does not have"):
            make_embedding_table(session)
        session.execute(text("DROP VIEW pg_temp.pg_available_extensions"))
        make_embedding_table(session)
        make_embedding_table(session)
        assert has_embedding_table(session)


def test_an_account_that_may_not_create_the_extension_is_told_who_may(site: EmbeddingSite) -> None:
    with transaction(site.sessions) as session:
        session.execute(text("CREATE ROLE plain; GRANT CREATE ON SCHEMA public TO plain; SET LOCAL ROLE plain"))
        with pytest.raises(Unavailable, match="superuser run CREATE EXTENSION vector"):
            make_embedding_table(session)
        session.execute(text("RESET ROLE; DROP OWNED BY plain; DROP ROLE plain"))


@pytest.mark.parametrize(("version", "numbers"), [("0.8.5", (0, 8)), ("1.0", (1, 0)), ("2", (2, 0)), ("x", (0, 0))])
def test_versions_are_compared_by_number(version: str, numbers: tuple[int, int]) -> None:
    assert version_of(version) == numbers


def test_the_schema_goes_down_and_up_with_embeddings_in_it(site: EmbeddingSite) -> None:
    site.queue()
    site.work()
    with site.sessions() as session:
        engine = session.get_bind().engine
    check_schema(engine)
    downgrade(engine, revision="base")
    migrate(engine)
    check_schema(engine)


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_directions_are_kept_at_any_length(scale: float) -> None:
    found = unit_vectors([[3 * scale, 4 * scale], [0.0, -scale]], n=2, dimensions=2)
    assert found == pytest.approx(np.array([[0.6, 0.8], [0.0, -1.0]]), abs=1e-6)
