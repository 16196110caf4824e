"""Servers that mean harm, or are broken beyond any form: bounded in time, size and what they can make us do."""

import json
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import suppress

import pytest
from sqlalchemy import select

from app.db import Sessions, transaction
from app.domain.language_models import Outcome
from app.errors import ProviderError
from app.models import LlmCall
from tests.llm_server import Answer, Behaviour, Edited, Flood, LlmServer, Raw, raw_json
from tests.worker.endpoint import Leap, asks, settings_of
from tests.worker.llm_site import SETTINGS, Site, method_named
from worker.providers import transport
from worker.providers.openai_compatible import OpenAICompatible
from worker.run.services import WorkerServices


@pytest.mark.parametrize("piece", [b" ", b'{"choices": [', b"x"])
def test_a_drip_ends_with_the_time_for_a_reply(server: LlmServer, leap: Leap, piece: bytes) -> None:
    server.brain = lambda _body: Flood(piece, seconds=0.02)
    provider = OpenAICompatible(settings_of(server, timeout_seconds=0.2, tries=2), leap.clock)
    with pytest.raises(ProviderError, match=r"no reply within 0\.2 s") as caught:
        provider.chat([asks()])
    provider.close()
    assert (caught.value.permanent, server.n_requests) == (False, 2)


def test_a_flood_ends_at_the_most_bytes_of_a_reply(
    server: LlmServer, leap: Leap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "LONGEST_REPLY_BYTES", 2**20)
    server.brain = lambda _body: Flood(b"x" * 65_536)
    provider = OpenAICompatible(settings_of(server, tries=1), leap.clock)
    with pytest.raises(ProviderError, match="more than 1048576 bytes"):
        provider.chat([asks()])
    provider.close()


def test_a_compressed_body_is_not_unpacked(server: LlmServer, provider: OpenAICompatible) -> None:
    packed = zlib.compress(b" " * 50_000_000, 9)
    server.brain = lambda _body: Raw(packed, headers={"content-encoding": "deflate"})
    tracemalloc.start()
    (reply,) = provider.chat([asks()])
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "compressed (deflate)" in str(reply.error)
    assert most < 5_000_000


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b'{"error": {"code": ' + b"[" * 95 + b"]" * 95 + b', "param": {}, "type": [1]}}', "application/json"),
        (b'{"error": {"code": ' + b"[" * 5000 + b"]" * 5000 + b"}}", "application/json"),
        (b'{"error": {"code": 1' + b"0" * 9000 + b"}}", "application/json"),
        (b'{"error": {"message": "\\ud800", "code": "\\u0000"}}', "application/json"),
        (zlib.compress(b" " * 1_000_000), "application/json; charset=zlib"),
        (b"{}", "application/json; charset=hex"),
        (b"{}", "application/json; charset=utf-16"),
        (b"{}", "application/json; charset=\x00idna"),
    ],
)
def test_no_body_does_harm_whatever_its_status(
    server: LlmServer, leap: Leap, status: int, body: bytes, content_type: str
) -> None:
    server.brain = lambda _body: Raw(body, status, content_type=content_type)
    provider = OpenAICompatible(settings_of(server, tries=2, patience_seconds=0), leap.clock)
    with suppress(ProviderError):
        (reply,) = provider.chat([asks()])
        assert reply.outcome is Outcome.FAILED
    provider.close()
    assert server.n_requests >= 1


@pytest.mark.parametrize(
    "headers",
    [
        {"x-long": "x" * 200_000},
        {f"x-{n}": "y" * 100 for n in range(5_000)},
        {"content-length": "-5"},
        {"content-length": "1, 2"},
        {"content-length": "99999999"},
        {"transfer-encoding": "gzip"},
        {"content-type": "\xff\xfe"},
        {"retry-after": "nan"},
    ],
)
def test_no_header_does_harm(server: LlmServer, leap: Leap, headers: dict[str, str]) -> None:
    server.brain = lambda _body: Raw(b"{}", headers=headers)
    provider = OpenAICompatible(settings_of(server, timeout_seconds=1, tries=2), leap.clock)
    with suppress(ProviderError):
        (reply,) = provider.chat([asks()])
        assert reply.outcome is Outcome.FAILED
    provider.close()
    assert server.n_requests == 2


@pytest.mark.parametrize("status", [100, 101, 199, 201, 204, 206, 300, 304, 418, 451, 499, 600, 999])
def test_no_status_does_harm(server: LlmServer, leap: Leap, status: int) -> None:
    server.brain = lambda _body: Raw(b'{"hello": 1}', status)
    provider = OpenAICompatible(settings_of(server, timeout_seconds=0.5, tries=2), leap.clock)
    with pytest.raises(ProviderError):
        provider.chat([asks()])
    provider.close()


@pytest.mark.parametrize(
    "date",
    ["Wed, 21 Oct 2015 07:28:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Wed, 99 Oct", "soon", "-1", "1e400", "inf"],
)
def test_a_date_to_wait_for_is_understood_and_bounded(server: LlmServer, leap: Leap, date: str) -> None:
    server.script.append(Raw(b"{}", 429, headers={"retry-after": date}))
    provider = OpenAICompatible(settings_of(server), leap.clock)
    with suppress(ProviderError):
        provider.chat([asks()])
    provider.close()
    assert sum(leap.waits) < 1


def test_a_cookie_is_not_sent_back(server: LlmServer, provider: OpenAICompatible) -> None:
    server.script.append(Raw(b"{}", headers={"set-cookie": "who=you; Path=/"}))
    provider.chat([asks()])
    assert server.n_requests == 2
    assert "cookie" not in server.headers[1]


@pytest.fixture
def site(fresh_sessions: Sessions) -> Iterator[tuple[Site, LlmServer]]:
    with LlmServer() as server:
        services = WorkerServices(SETTINGS, fresh_sessions)
        site = Site(fresh_sessions, services, server.url)
        site.provider(capabilities=["chat"], price_in=1.0)
        yield site, server
        services.close()


EXPLANATION = Answer('{"explanation": "the word import"}')
STORED: dict[str, Behaviour] = {
    "a model of NUL and half a pair": Edited(lambda r: {**r, "model": "m\x00\ud800"}, EXPLANATION),
    "token counts of 1e18": Edited(
        lambda r: {**r, "usage": {"prompt_tokens": 10**18, "completion_tokens": 1}}, EXPLANATION
    ),
    "token counts of 1e300": Edited(
        lambda r: {**r, "usage": {"prompt_tokens": 1e300, "completion_tokens": -1}}, EXPLANATION
    ),
    "names of fields with NUL": Edited(lambda r: {**r, "\x00": {"\ud800": "\x00"}}, EXPLANATION),
    "numbers that are none": Raw(b'{"choices": [], "x": NaN, "y": -Infinity, "z": 1e999}'),
    "an integer of 4,000 digits": Raw(b'{"choices": [], "x": ' + b"9" * 4_000 + b"}"),
    "ninety levels": raw_json({"x": json.loads("[" * 90 + "]" * 90)}),
    "a text of a megabyte": Edited(lambda r: {**r, "x": "y" * 2**20}, EXPLANATION),
    "thousands of fields": Edited(lambda r: {**r, "x": {str(n): n for n in range(21_000)}}, EXPLANATION),
    "bytes": Raw(bytes(range(256)) * 4),
    "a refusal of NUL": Answer("", refusal="no\x00 and \ud800"),
    "an error with NUL": raw_json({"error": {"message": "a\x00b\ud800", "code": 400}}, 400),
}


@pytest.mark.parametrize("name", STORED)
def test_whatever_comes_is_stored_with_the_call_it_answers(site: tuple[Site, LlmServer], name: str) -> None:
    here, server = site
    server.brain = lambda _body: STORED[name]
    subject_id, ids = here.neurons(1)
    here.enqueue(subject_id, ids, method_named("pairs-structured"))
    here.loop().run_one()
    with transaction(here.sessions) as session:
        calls = session.scalars(select(LlmCall)).all()
    assert len(calls) == server.n_requests > 0
    assert here.counts() in ({"failed": 1}, {"succeeded": 1})
    assert all(len(json.dumps(call.reply)) < 3_000_000 for call in calls)
