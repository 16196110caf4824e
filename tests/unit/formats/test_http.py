"""An HTTP server as a source: gaps, waits, refusals, and where it goes on."""

import gzip
import json
import os
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from typing import Any

import pytest

from app.errors import Invalid, Unavailable
from app.formats.bounds import MEBIBYTE
from app.formats.openai.reader import OpenAIReader
from app.formats.problems import ReadingProblem
from app.formats.sources.http import AHEAD, AT_ONCE, MOST_FETCHED_BYTES, HttpFolder, numbers_of
from app.formats.sources.source import Position
from tests.openai_files import neuron_record, simulation_results


class Server(ThreadingHTTPServer):
    """Serves the files of every neuron but those that ``replies`` gives other status codes, one per request."""

    def __init__(self) -> None:
        self.replies: dict[str, list[int]] = {}
        self.bodies: dict[str, Iterator[bytes]] = {}
        """What is sent in place of a file, packed by gzip."""
        self.asked: Counter[str] = Counter()
        self.at_once = self.most_at_once = self.n_sent = 0
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/data"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, name = self.server, self.path.removeprefix("/data/")
        with server.lock:
            server.asked[name] += 1
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
            statuses = server.replies.get(name, [])
            status = statuses.pop(0) if len(statuses) > 1 else statuses[0] if statuses else 200
        folder, layer, file = name.split("/")
        make = neuron_record if folder == "collated-activations" else simulation_results
        content = json.dumps(make(int(layer), int(file.split(".")[0]))).encode()
        self.send_response(status)
        if name in server.bodies:
            self._send_body(server.bodies[name])
            return
        if status == 429:
            self.send_header("retry-after", "7")
        if status == 302:
            self.send_header("location", "http://192.0.2.1/elsewhere")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        with server.lock:
            server.at_once -= 1

    def _send_body(self, parts: Iterator[bytes]) -> None:
        self.send_header("content-encoding", "gzip")
        self.end_headers()
        with suppress(OSError):  # the client has seen enough
            for part in parts:
                self.wfile.write(part)
                self.server.n_sent += len(part)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the test's output stays clean."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


def read(folder: HttpFolder, after: Position | None = None) -> tuple[list[str], list[ReadingProblem]]:
    problems: list[ReadingProblem] = []
    reader = OpenAIReader()
    records = [
        f"{record.origin.file} {record.layer}/{record.index}"
        for _, entry in folder.entries(problems.append, after=after)
        for record in reader.records(entry, problems.append)
    ]
    return records, problems


def test_files_come_in_order_though_several_are_fetched_at_a_time(server: Server) -> None:
    records, problems = read(HttpFolder(server.base, [0, 1], range(30)))
    assert records == [
        f"{folder}/{layer}/{index}.{end} {layer}/{index}"
        for layer in (0, 1) for index in range(30)
        for folder, end in (("collated-activations", "json"), ("explanations", "jsonl"))
    ]  # fmt: skip
    assert not problems
    assert server.most_at_once <= AT_ONCE
    assert max(server.asked.values()) == 1


def test_a_missing_file_is_a_gap_and_told(server: Server) -> None:
    server.replies["explanations/31/1593.jsonl"] = [404]
    records, problems = read(HttpFolder(server.base, [31], [1592, 1593]))
    assert len(records) == 3
    assert [(p.file, p.is_gap, p.reason) for p in problems] == [
        ("explanations/31/1593.jsonl", True, "the server has no such file (404)")
    ]


def test_a_busy_server_is_asked_again_after_the_wait_that_it_names(server: Server) -> None:
    server.replies["collated-activations/0/0.json"] = [429, 503, 200]
    waits: list[float] = []
    records, problems = read(HttpFolder(server.base, [0], [0], sleep=waits.append))
    assert (len(records), problems) == (2, [])
    assert 7 in waits


def test_a_server_that_stays_away_ends_the_import_which_can_go_on(server: Server) -> None:
    server.replies["collated-activations/0/1.json"] = [503]
    with pytest.raises(Unavailable, match="it responds with 503"):
        read(HttpFolder(server.base, [0], [0, 1], sleep=lambda _: None))
    server.replies.clear()
    records, _ = read(HttpFolder(server.base, [0], [0, 1]), Position(2, "explanations/0/0.jsonl"))
    assert records == ["collated-activations/0/1.json 0/1", "explanations/0/1.jsonl 0/1"]


@pytest.mark.parametrize("status", [302, 401, 403])
def test_a_redirect_or_a_refusal_is_not_followed(server: Server, status: int) -> None:
    server.replies["collated-activations/0/0.json"] = [status]
    records, problems = read(HttpFolder(server.base, [0], [0]))
    assert len(records) == 1
    assert [(p.reason, p.is_gap) for p in problems] == [(f"the server responds with {status}", False)]


def test_no_more_is_fetched_ahead_than_is_allowed(server: Server) -> None:
    entries = HttpFolder(server.base, [0], range(500)).entries(lambda _: None)
    list(islice(entries, 3))
    entries.close()  # type: ignore[attr-defined]  # it is a generator
    assert sum(server.asked.values()) <= AHEAD + 3


def endless() -> Iterator[bytes]:
    """Noise that gzip cannot make smaller."""
    packing = zlib.compressobj(wbits=31)
    while True:
        yield packing.compress(os.urandom(MEBIBYTE)) + packing.flush(zlib.Z_SYNC_FLUSH)


def test_a_file_that_unpacks_to_too_much_or_never_ends_is_left_where_that_is_seen(server: Server) -> None:
    server.bodies["collated-activations/0/0.json"] = iter([gzip.compress(bytes(100 * MEBIBYTE))])
    server.bodies["explanations/0/0.jsonl"] = endless()
    records, problems = read(HttpFolder(server.base, [0], [0, 1]))
    assert records == ["collated-activations/0/1.json 0/1", "explanations/0/1.jsonl 0/1"]
    assert [str(each) for each in problems] == [
        "collated-activations/0/0.json: it has more than 8 MiB",
        "explanations/0/0.jsonl: it has more than 8 MiB",
    ]
    assert server.n_sent < 40 * MEBIBYTE  # what the sockets hold comes on top
    assert AHEAD * MOST_FETCHED_BYTES <= 256 * MEBIBYTE


def test_nothing_listens(server: Server) -> None:
    folder = HttpFolder("http://127.0.0.1:1", [0], [0], sleep=lambda _: None)
    with pytest.raises(Unavailable, match="cannot be reached"):
        read(folder)


def test_numbers_and_ranges() -> None:
    assert numbers_of("0-3, 7,2", "Layers") == [0, 1, 2, 3, 7]
    for text in ("", "a", "3-1", "-1", "0-99999999999", "0-9999999"):
        with pytest.raises(Invalid, match="Layers are"):
            numbers_of(text, "Layers")
