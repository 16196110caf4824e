"""Answers come out of compression as they went in, whole or in pieces."""

import gzip
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.responses import Response, StreamingResponse
from fastapi.testclient import TestClient

from app.web.http.compression import Compression

PIECES = [b"a" * 100_000, b"", bytes(range(256)) * 300, b"the end"]


@pytest.fixture
def site() -> TestClient:
    """A site that sends the pieces at once, one by one, and one response that is too short to compress."""
    app = FastAPI()
    app.add_middleware(Compression)

    @app.get("/whole")
    def whole() -> Response:
        return Response(b"".join(PIECES), media_type="text/plain")

    @app.get("/pieces")
    def pieces() -> StreamingResponse:
        def one_by_one() -> Iterator[bytes]:
            yield from PIECES

        return StreamingResponse(one_by_one(), media_type="text/plain")

    @app.get("/short")
    def short() -> Response:
        return Response(b"short", media_type="text/plain")

    return TestClient(app)


def sent(site: TestClient, path: str, accept: str = "gzip") -> tuple[dict[str, str], bytes]:
    """Headers, and the body as it goes over the wire."""
    with site.stream("GET", path, headers={"Accept-Encoding": accept}) as answer:
        return dict(answer.headers), b"".join(answer.iter_raw())


@pytest.mark.parametrize("path", ["/whole", "/pieces"])
def test_what_is_compressed_is_read_back(site: TestClient, path: str) -> None:
    headers, body = sent(site, path)
    assert headers["content-encoding"] == "gzip"
    assert len(body) < 10_000
    assert gzip.decompress(body) == b"".join(PIECES)


def test_a_short_answer_and_a_client_without_gzip_get_it_as_it_is(site: TestClient) -> None:
    assert sent(site, "/short")[1] == b"short"
    headers, body = sent(site, "/whole", accept="identity")
    assert "content-encoding" not in headers
    assert body == b"".join(PIECES)
