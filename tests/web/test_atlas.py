import gzip
import struct

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine
from starlette.testclient import TestClient

from app.domain.atlas import Plane
from app.models import Subject
from app.web.atlas.kept import MOST_KEPT, Atlases
from tests.factories import Make, WholeCorpus
from tests.queries import counted_queries
from tests.web.conftest import Context


@pytest.fixture
def subject(make: Make) -> Subject:
    """Three neurons in two layers of four: one with both scores, one with the 2023 score, one unexplained."""
    subject = make.subject(n_layers=2, neurons_per_layer=4)
    make.explained(make.neuron(subject, layer=0, index=1), "fires on cats", 0.75, whole=WholeCorpus(0.5))
    make.explained(make.neuron(subject, layer=1, index=0), "fires on dogs", 0.25)
    make.neuron(subject, layer=1, index=3)
    return subject


def plane(content: bytes, wanted: Plane) -> list[int]:
    n_layers, width = struct.unpack_from("<2I", content, 8)
    at = 16 + list(Plane).index(wanted) * n_layers * width
    return list(content[at : at + n_layers * width])


def test_the_bytes_hold_a_place_for_each_neuron(client: TestClient, subject: Subject) -> None:
    answer = client.get("/tiny/atlas.bin")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/octet-stream"
    assert plane(answer.content, Plane.SCORE) == [0, 101, 0, 0, 51, 0, 0, 0]
    assert plane(answer.content, Plane.HEADLINE) == [0, 76, 0, 0, 0, 0, 0, 0]
    assert plane(answer.content, Plane.STATE) == [0, 2, 0, 0, 2, 0, 0, 1]


def test_bytes_that_a_browser_has_are_not_sent_again(client: TestClient, subject: Subject) -> None:
    first = client.get("/tiny/atlas.bin")
    tag = first.headers["etag"]
    assert "private" in first.headers["cache-control"]
    for sent in (tag, f'"other", W/{tag}', "*"):
        again = client.get("/tiny/atlas.bin", headers={"If-None-Match": sent})
        assert (again.status_code, again.content) == (304, b"")
    assert client.get("/tiny/atlas.bin", headers={"If-None-Match": '"other"'}).status_code == 200


def test_bytes_are_kept_compressed_for_those_who_can_read_them(client: TestClient, subject: Subject) -> None:
    plain = client.get("/tiny/atlas.bin", headers={"Accept-Encoding": "identity"})
    with client.stream("GET", "/tiny/atlas.bin", headers={"Accept-Encoding": "gzip"}) as packed:
        raw = b"".join(packed.iter_raw())
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(raw) == plain.content


def test_a_fresh_atlas_needs_no_query_but_the_version(client: TestClient, subject: Subject, engine: Engine) -> None:
    client.get("/tiny/atlas.bin")
    with counted_queries(engine) as queries:
        assert client.get("/tiny/atlas.bin").status_code == 200
    assert queries == []


def test_an_old_atlas_is_built_again_only_when_something_was_stored(make: Make, subject: Subject) -> None:
    now = [0.0]
    atlases = Atlases(seconds=10, clock=lambda: now[0])
    first = atlases.get(make.session, slug="tiny")
    now[0] = 9.9
    make.neuron(subject, layer=0, index=0)
    assert atlases.get(make.session, slug="tiny") is first
    now[0] = 10.1
    second = atlases.get(make.session, slug="tiny")
    assert second is not first
    now[0] = 30.0
    assert atlases.get(make.session, slug="tiny") is second


def test_few_atlases_are_held(make: Make) -> None:
    atlases = Atlases()
    for number in range(MOST_KEPT + 1):
        make.subject(f"tiny-{number}")
        atlases.get(make.session, slug=f"tiny-{number}")
    assert atlases.fresh("tiny-0") is None
    assert atlases.fresh(f"tiny-{MOST_KEPT}") is not None


def test_the_page_shows_each_layer_without_colours_and_scripts(
    client: TestClient, subject: Subject, context: Context
) -> None:
    answer = client.get("/tiny/atlas")
    assert [(layer.n_neurons, layer.n_explained, layer.score) for layer in context().layers] == [
        (1, 1, 0.75),
        (2, 1, 0.25),
    ]
    assert 'data-file="/tiny/atlas.bin"' in answer.text
    assert 'href="/tiny?layer=1&amp;state=explained"' in answer.text
    assert context().first is Plane.HEADLINE


def test_the_page_of_a_subject_without_neurons_says_so(client: TestClient, make: Make) -> None:
    make.subject()
    answer = client.get("/tiny/atlas")
    assert answer.status_code == 200
    assert "has no neurons yet" in answer.text


def test_a_subject_that_is_too_large_to_draw_has_its_table(client: TestClient, make: Make) -> None:
    subject = make.subject()
    make.neuron(subject, layer=1, index=2**31 - 1)
    assert client.get("/tiny/atlas.bin").status_code == 404
    page = client.get("/tiny/atlas")
    assert "too many neurons to be drawn" in page.text
    assert "/static/atlas.js" not in page.text
    assert "layer 1" in page.text


@pytest.mark.parametrize("path", ["/nobody/atlas", "/nobody/atlas.bin", "/nobody/atlas.json"])
def test_an_unknown_subject_has_no_atlas(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_the_twin_says_what_the_bytes_mean(client: TestClient, subject: Subject, app: FastAPI) -> None:
    found = client.get("/tiny/atlas.json").json()
    assert list(found["planes"]) == [str(each) for each in Plane]
    assert found["planes"]["score"] == {"low": -0.25, "step": 0.01, "steps": 125, "is_log10": False}
    assert found["file"] == "/tiny/atlas.bin"
