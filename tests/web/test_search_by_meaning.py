"""Search by meaning: from the button to what a worker has embedded, and hidden where no model is set."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event as Signal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.db import Sessions
from app.domain.embeddings import text_digest
from app.domain.work import EMBEDDING, QUERY_EMBEDDING, Lane
from app.models import Neuron, QueryEmbedding, Subject, Task
from app.queries.embeddings.lookup import Nearness, model_in_use
from app.queries.embeddings.source import embedding_source
from app.queries.embeddings.store import EmbeddedText, choose_model, delete_old_queries, store_embeddings
from app.queries.embeddings.tables import make_embedding_table
from app.queries.neurons.filters import NeuronFilter
from app.queries.neurons.listing import NeuronsQuery, neurons_page, source_of
from app.queries.neurons.meaning import planned_by_nearness
from app.queries.neurons.order import NeuronSort, SortKey
from app.settings import Settings
from app.web.main import create_app
from tests.factories import Make
from tests.queries import counted_queries, plan_of
from tests.web.conftest import OWN_PAGE, Context, LogIn, RecordingRenderer
from tests.worker.tiny_models import save_tiny
from worker.providers.local_embedding import load_local_embedder
from worker.run.embedders import Embedders
from worker.run.embeddings import EmbeddingHandler, QueryEmbeddingHandler
from worker.run.held import Handlers
from worker.run.loop import WorkerContext, WorkLoop
from worker.run.opening import Providers

BY_MEANING = NeuronSort(SortKey.MEANING)
TEXTS = ("the cat sat", "import os", "numbers: 1 2 3", "the cat sat on the mat", "<i>dogs</i> \u202e bark")
SOUGHT = "a cat"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model on the worker."""
    return save_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def settings(model: Path, tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, embedding_model=str(model), page_size=2, progress_seconds=0)


@pytest.fixture
def app(sessions: Sessions, settings: Settings) -> FastAPI:
    app = create_app(settings, sessions)
    app.state.renderer = RecordingRenderer()
    return app


@pytest.fixture
def work(sessions: Sessions, settings: Settings) -> Callable[[Lane], None]:
    """Let a worker do everything that is queued in a lane."""
    embedders = Embedders(sessions, settings, Providers(sessions, settings))
    handlers: Handlers = {
        EMBEDDING.name: EmbeddingHandler(sessions, embedders),
        QUERY_EMBEDDING.name: QueryEmbeddingHandler(sessions, embedders),
    }
    context = WorkerContext(settings, sessions, handlers, uuid.uuid4(), Signal(), Signal())

    def work_off(lane: Lane) -> None:
        while WorkLoop(context, lane).run_one():
            pass

    return work_off


@pytest.fixture
def subject(make: Make) -> Subject:
    """Two subjects with explanations, one of them with a null twin that has the first text, too."""
    subject = make.subject("tiny", neurons_per_layer=len(TEXTS))
    for index, text in enumerate(TEXTS):
        make.explained(make.neuron(subject, layer=index % 2, index=index), text, value=0.1 * index)
    make.explained(make.neuron(make.subject("other"), layer=1, index=3), "a cat in another model")
    twin = make.subject("tiny-null")
    twin.null_twin_of_id = subject.id
    make.explained(make.neuron(twin), SOUGHT)
    make.session.flush()
    return subject


@pytest.fixture
def embedded(client: TestClient, subject: Subject, log_in_as: LogIn, work: Callable[[Lane], None]) -> Subject:
    """Every explanation and the text that is sought are embedded, as people and a worker do it."""
    log_in_as("olga")
    for slug in ("tiny", "other", "tiny-null"):
        assert client.post(f"/embeddings/{slug}").status_code == 303
    assert client.post("/search/meaning", data={"meaning": SOUGHT}).status_code == 303
    work(Lane.BACKGROUND)
    work(Lane.INTERACTIVE)
    return subject


def cosines(model: Path, *texts: str) -> list[float]:
    """Of each text and the sought one."""
    found = load_local_embedder(str(model), device="cpu").embed([SOUGHT, *texts])
    unit = found / np.linalg.norm(found, axis=1, keepdims=True)
    return [float(x) for x in unit[1:] @ unit[0]]


def n_tasks(session: Session) -> int:
    return session.scalars(select(func.count()).select_from(Task)).one()


def read_all(client: TestClient, context: Context, address: str) -> list[Any]:
    """The rows of every page of a search."""
    rows: list[Any] = []
    while True:
        assert client.get(address).status_code == 200
        rows.extend(context().rows)
        if context().next is None:
            return rows
        address = context().next


def test_a_random_match_has_an_explanation(client: TestClient, embedded: Subject, make: Make) -> None:
    for index in range(20):
        make.neuron(embedded, layer=5, index=index)
    address = f"/search/random?meaning={SOUGHT}&subject=tiny"
    assert not any("/tiny/5/" in client.get(address).headers["location"] for _ in range(20))


def test_a_worker_embeds_what_is_sought_and_looking_starts_no_work(
    client: TestClient, subject: Subject, session: Session, context: Context, log_in_as: LogIn, work: Any
) -> None:
    log_in_as("charlie")
    html = client.get("/search", params={"meaning": SOUGHT}).text
    assert "Nobody has searched for this meaning yet" in html
    assert n_tasks(session) == 0
    sent = client.post("/search/meaning", data={"meaning": f" {SOUGHT} ", "filters": "layer=1", "subject": "tiny"})
    assert sent.status_code == 303
    query = parse_qs(urlsplit(sent.headers["location"]).query)
    assert (query["meaning"], query["sort"], query["layer"], query["subject"]) == (
        [SOUGHT],
        ["-meaning"],
        ["1"],
        ["tiny"],
    )
    waiting = client.get(sent.headers["location"]).text
    assert (context().meaning.state, context().matches) == ("waiting", None)
    assert 'hx-trigger="every 500ms"' in waiting
    assert n_tasks(session) == 1
    work(Lane.INTERACTIVE)
    done = client.get(sent.headers["location"]).text
    assert (context().meaning.state, context().rows) == ("done", ())  # no explanation is embedded yet
    assert "No explanation that these filters match has been embedded" in done
    assert "every 500ms" not in done
    assert client.post("/search/meaning", data={"meaning": SOUGHT}).headers["location"].endswith("sort=-meaning")
    assert n_tasks(session) == 1


def test_the_nearest_explanations_of_all_subjects_but_null_twins_come_first(
    client: TestClient, embedded: Subject, context: Context, model: Path
) -> None:
    rows = read_all(client, context, f"/search?meaning={SOUGHT}")
    texts = [row.neuron.explanation for row in rows]
    everything = (*TEXTS, "a cat in another model")
    expected = dict(zip(everything, cosines(model, *everything), strict=True))
    assert texts == sorted(expected, key=lambda text: -expected[text])
    found = [row.neuron.similarity for row in rows]
    assert found == pytest.approx([expected[text] for text in texts], abs=2e-3)
    assert context().matches.number == len(everything)
    own = read_all(client, context, f"/search?meaning={SOUGHT}&subject=tiny")
    assert {row.subject.slug for row in own} == {"tiny"}
    assert len(own) == len(TEXTS)
    first = client.get(f"/search.json?meaning={SOUGHT}").json()
    assert first["rows"][0]["neuron"]["similarity"] == pytest.approx(found[0])
    assert first["meaning"]["state"] == "done"


def test_it_is_an_order_among_what_the_other_filters_match(
    client: TestClient, embedded: Subject, context: Context
) -> None:
    of_layer = read_all(client, context, f"/search?meaning={SOUGHT}&layer=1")
    assert {row.neuron.layer for row in of_layer} == {1}
    with_words = read_all(client, context, f"/search?meaning={SOUGHT}&words=mat or dogs")
    assert {row.neuron.explanation for row in with_words} == {TEXTS[3], TEXTS[4]}
    assert all(row.neuron.similarity is not None for row in with_words)
    by_score = read_all(client, context, f"/search?meaning={SOUGHT}&sort=-score&subject=tiny")
    scores = [row.neuron.score for row in by_score]
    assert scores == sorted(scores, reverse=True)
    assert client.get(f"/search?meaning={SOUGHT}&state=unexplained").status_code == 200
    assert context().rows == ()
    client.get(f"/search/facets?meaning={SOUGHT}")
    for facet in context().facets:
        for value in facet.values:
            assert client.get(value.address).status_code == 200
            if hasattr(context(), "matches"):
                assert context().matches.number == value.n, value
            client.get(f"/search/facets?meaning={SOUGHT}")


def test_a_neuron_opened_from_it_has_the_nearest_ones_beside_it(
    client: TestClient, embedded: Subject, context: Context
) -> None:
    rows = read_all(client, context, f"/search?meaning={SOUGHT}&subject=tiny")
    html = client.get(rows[1].address).text
    trail = context().trail
    for row, address in ((rows[0], trail.previous), (rows[2], trail.next)):
        assert address.partition("?")[0] == f"/tiny/{row.neuron.layer}/{row.neuron.index}"
    assert (trail.position, trail.matches.number) == (2, len(TEXTS))
    assert client.get(trail.back).status_code == 200
    assert "<i>dogs" not in html
    listed = client.get(f"/tiny?meaning={SOUGHT}&sort=-meaning").text
    assert [row.id for row in context().rows] == [row.neuron.id for row in rows[:2]]
    assert "Nearest in meaning first" in listed
    assert client.get("/tiny?meaning=never+sought&sort=-meaning").status_code == 200
    assert client.get("/tiny?sort=-meaning").status_code == 422
    assert client.get(f"/tiny/neurons.csv?meaning={SOUGHT}&sort=-meaning").text.count("\n") == len(TEXTS) + 1


def test_a_text_that_reviewers_have_rejected_is_not_found(
    client: TestClient, embedded: Subject, session: Session, context: Context
) -> None:
    session.execute(
        update(Neuron).where(Neuron.current_text == TEXTS[0]).values(current_explanation_id=None, current_text=None)
    )
    texts = {row.neuron.explanation for row in read_all(client, context, f"/search?meaning={SOUGHT}&subject=tiny")}
    assert texts == set(TEXTS[1:])


def test_a_new_current_text_is_not_compared_by_the_embedding_of_the_old_one(
    client: TestClient, embedded: Subject, make: Make, context: Context, work: Any
) -> None:
    neuron = make.session.scalars(select(Neuron).where(Neuron.current_text == TEXTS[1])).one()
    make.explained(neuron, "import re", value=0.9, method=make.method("better"))
    make.session.expire_all()
    assert neuron.current_text == "import re"
    texts = {row.neuron.explanation for row in read_all(client, context, f"/search?meaning={SOUGHT}&subject=tiny")}
    assert texts == set(TEXTS) - {TEXTS[1]}
    client.post("/embeddings/tiny")
    work(Lane.BACKGROUND)
    texts = {row.neuron.explanation for row in read_all(client, context, f"/search?meaning={SOUGHT}&subject=tiny")}
    assert texts == set(TEXTS) - {TEXTS[1]} | {"import re"}


def test_a_visitor_sees_what_others_have_searched_for_and_no_form(
    client: TestClient, embedded: Subject, context: Context
) -> None:
    client.cookies.clear()
    html = client.get(f"/search?meaning={SOUGHT}").text
    assert len(context().rows) == 2
    assert "Search by meaning" not in html
    assert "Log in" in client.get("/search?meaning=another").text
    assert client.post("/search/meaning", data={"meaning": SOUGHT}).status_code == 401


def test_the_page_of_embeddings_shows_how_far_each_subject_is(
    client: TestClient, embedded: Subject, context: Context, make: Make, log_in_as: LogIn
) -> None:
    html = client.get("/embeddings").text
    rows = {row.slug: row for row in context().subjects}
    assert set(rows) == {"tiny", "other"}
    assert (rows["tiny"].n_explanations, rows["tiny"].n_embedded, rows["tiny"].is_complete) == (5, 5, True)
    assert "all embedded" in html
    neuron = make.session.scalars(select(Neuron).where(Neuron.current_text == TEXTS[2])).one()
    make.explained(neuron, "new", method=make.method("another"))
    assert 'action="/embeddings/tiny"' in client.get("/embeddings").text
    log_in_as("charlie")
    assert 'action="/embeddings/tiny"' not in client.get("/embeddings").text
    assert client.get("/embeddings.json").json()["dimensions"] == 32
    assert 'href="/embeddings"' in client.get("/tasks").text


@pytest.mark.parametrize("text", ["", "   ", "a\0b", "x" * 201])
def test_what_cannot_be_sought_is_refused(client: TestClient, subject: Subject, log_in_as: LogIn, text: str) -> None:
    log_in_as("charlie")
    assert client.post("/search/meaning", data={"meaning": text}).status_code == 422


def test_nobody_queues_more_texts_than_a_worker_will_get_to(
    client: TestClient, subject: Subject, session: Session, log_in_as: LogIn
) -> None:
    log_in_as("charlie")
    statuses = [client.post("/search/meaning", data={"meaning": f"text {n}"}).status_code for n in range(7)]
    assert statuses == [303] * 5 + [409] * 2


def test_hostile_texts_are_shown_as_texts(
    client: TestClient, subject: Subject, session: Session, log_in_as: LogIn
) -> None:
    log_in_as("charlie")
    hostile = '<script>alert(1)</script>"\u202e'
    sent = client.post("/search/meaning", data={"meaning": hostile})
    session.execute(update(Task).values(status="failed", error=f"no {hostile}"))
    html = client.get(sent.headers["location"]).text
    assert "The text could not be embedded" in html
    assert "<script>alert" not in html
    assert html.count("&lt;script&gt;alert(1)") >= 2
    client.get(f"/search?meaning=other&asked={sent.headers['location'].rpartition('=')[2]}")
    assert client.get("/search?meaning=x&asked=99999999").status_code == 200


def test_a_search_by_meaning_sends_few_queries_whatever_it_finds(
    client: TestClient, embedded: Subject, engine: Engine
) -> None:
    client.cookies.clear()
    with counted_queries(engine) as sent:
        client.get(f"/search?meaning={SOUGHT}")
    assert len(sent) <= 8  # one of them settings of the index


@pytest.fixture
def unconfigured(sessions: Sessions, tmp_path: Path) -> Iterator[TestClient]:
    """The site where no embedding model is set."""
    app = create_app(Settings(data_dir=tmp_path), sessions)
    with TestClient(app, base_url="http://localhost", headers=OWN_PAGE, follow_redirects=False) as client:
        yield client


def test_without_a_model_nothing_of_it_is_there(
    unconfigured: TestClient, client: TestClient, embedded: Subject, session: Session
) -> None:
    unconfigured.cookies.update(client.cookies)
    before = n_tasks(session)
    html = unconfigured.get("/search").text
    assert "meaning" not in html
    assert ">Embeddings<" not in unconfigured.get("/tasks").text
    found = unconfigured.get(f"/search.json?meaning={SOUGHT}&sort=-meaning").json()
    assert (found["meaning"], found["rows"]) == (None, [])
    assert unconfigured.get(f"/tiny?meaning={SOUGHT}&sort=-meaning").status_code == 200
    for address in ("/embeddings", "/embeddings.json"):
        assert unconfigured.get(address).status_code == 404
    for address, form in (("/embeddings/tiny", {}), ("/search/meaning", {"meaning": SOUGHT})):
        assert unconfigured.post(address, data=form).status_code == 404
    assert n_tasks(session) == before


@pytest.fixture
def cloud(make: Make, session: Session, settings: Settings) -> Any:
    """Many neurons with random embeddings of 8 numbers, and what they are compared with."""
    generator, subject = np.random.default_rng(7), make.subject("cloud", neurons_per_layer=600)
    source = embedding_source(settings)
    assert source is not None
    make_embedding_table(session)
    model = choose_model(session, source=source, digest="d", dimensions=8)
    vectors = generator.normal(size=(600, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = []
    for index, vector in enumerate(vectors):
        neuron = make.neuron(subject, layer=index % 2, index=index)
        written = make.explanation(neuron, f"text {index}")
        neuron.current_explanation_id, neuron.current_text, neuron.n_explanations = written.id, written.text, 1
        rows.append(EmbeddedText(written.id, neuron.id, text_digest(written.text), vector))
    session.flush()
    store_embeddings(session, model_id=model.id, subject_id=subject.id, rows=rows)
    in_use = model_in_use(session, source=source)
    assert in_use is not None
    assert in_use.id == model.id
    return subject, model, vectors


@pytest.mark.parametrize("layer", [None, 1])
def test_the_index_finds_what_comparing_everything_finds(cloud: Any, session: Session, layer: int | None) -> None:
    subject, model, vectors = cloud
    near = Nearness(model.id, tuple(float(x) for x in vectors[5] + vectors[6]))
    query = NeuronsQuery(subject.id, NeuronFilter(layer=layer), BY_MEANING, near)
    by_index = neurons_page(session, query=query, size=20, matches=None).rows
    order = np.argsort(-(vectors @ np.array(near.vector)))
    exact = [int(i) for i in order if layer is None or i % 2 == layer][:20]
    assert len({row.index for row in by_index} & set(exact)) >= 18  # an index finds nearly all


def test_the_index_is_one_that_the_database_uses(cloud: Any, session: Session) -> None:
    subject, model, vectors = cloud
    query = NeuronsQuery(subject.id, NeuronFilter(), BY_MEANING, Nearness(model.id, tuple(map(float, vectors[0]))))
    statement = source_of(query, few=False).statement
    with planned_by_nearness(session, query.near):
        connection = session.connection()
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        connection.exec_driver_sql("SET LOCAL enable_sort = off")
        compiled = statement.compile(connection.engine, compile_kwargs={"render_postcompile": True})
        plan = plan_of(connection, str(compiled), dict(compiled.construct_params()))
    assert f"ix_explanation_embedding_nearest_{model.id}" in plan


def test_old_searches_are_forgotten(embedded: Subject, session: Session) -> None:
    delete_old_queries(session)
    assert session.scalars(select(func.count()).select_from(QueryEmbedding)).one() == 1
    session.execute(update(QueryEmbedding).values(created_at=func.now() - func.make_interval(0, 0, 0, 31)))
    delete_old_queries(session)
    assert session.scalars(select(func.count()).select_from(QueryEmbedding)).one() == 0
