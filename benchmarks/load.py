"""Real server processes and the clients that load them, compared with static files of the same bytes."""

import itertools
import os
import random
import re
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import httpx
import numpy as np

from app.web.http.static import STATIC

N_SERVERS = 2
N_CLIENTS = 8
PROGRAM = "app.cli serve"
WITH_FILES_FROM_DISK = "benchmarks.disk_server"
FILE_SIZES = [round(1_000 * 1.15**power) for power in range(52)]
"""Bytes, from 1 kB to 1.2 MB: every page has a file that is at most 15 % larger."""
Addresses = Callable[[random.Random], str]


def made_anew(addresses: Addresses) -> Addresses:
    """The same pages under unique URLs, so that no server can answer from its cache."""
    number = itertools.count()

    def address(chosen: random.Random) -> str:
        found = addresses(chosen)
        return f"{found}{'&' if '?' in found else '?'}utm_n={next(number)}"

    return address


@dataclass(frozen=True, slots=True)
class Answer:
    """One response: milliseconds of the client and of the server, bytes as they went over the wire."""

    client_ms: float
    server_ms: float
    wire_bytes: int


@dataclass(frozen=True, slots=True)
class Load:
    """The responses to one kind of request, and the total time."""

    answers: Sequence[Answer]
    seconds: float
    cpu_seconds: float
    """Processor time of the servers, without the database's."""

    def server(self, percentile: float) -> float:
        """Milliseconds of server time that this share of the responses, in percent, stayed below."""
        return float(np.percentile([a.server_ms for a in self.answers], percentile))

    @property
    def per_second(self) -> float:
        """Requests per second."""
        return len(self.answers) / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Processor time of the servers per request, in milliseconds."""
        return self.cpu_seconds * 1000 / len(self.answers)

    @property
    def largest(self) -> int:
        """Bytes of the largest response, compressed."""
        return max(a.wire_bytes for a in self.answers)


@dataclass(frozen=True, slots=True)
class Server:
    """A server process."""

    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """Processor time that it has used so far."""
        return cpu_seconds(self.pid)


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used so far; NaN where the system does not report it (proc(5))."""
    status = Path(f"/proc/{pid}/stat")
    if not status.exists():
        return float("nan")
    fields = status.read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def servers(url: str, *, n_servers: int = N_SERVERS, module: str = PROGRAM) -> Iterator[list[Server]]:
    """Real server processes over one database; ``module`` is what Python runs, with its arguments."""
    with ExitStack() as stack:
        yield [stack.enter_context(_server(url, module)) for _ in range(n_servers)]


@contextmanager
def _server(url: str, module: str) -> Iterator[Server]:
    port = _free_port()
    environment = os.environ | {
        "DATABASE_URL": url,
        "NEURON_AUDIT_PORT": str(port),
        "NEURON_AUDIT_LOG_LEVEL": "warning",
    }
    command = [sys.executable, "-m", *module.split()]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        _wait_for(f"http://127.0.0.1:{port}")
        yield Server(port, process.pid)
    finally:
        process.terminate()
        process.wait(20)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for(address: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            httpx.get(f"{address}/health").raise_for_status()
        except httpx.HTTPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


@contextmanager
def static_files() -> Iterator[Mapping[int, str]]:
    """The addresses of static files by their bytes, which do not compress, as compressed pages do not.

    Servers that start inside of it serve them.
    """
    name = f"benchmark-{uuid.uuid4().hex}"
    folder = STATIC / name
    folder.mkdir()
    try:
        for size in FILE_SIZES:
            (folder / f"{size}.bin").write_bytes(random.Random(0).randbytes(size))
        yield {size: f"/static/{name}/{size}.bin" for size in FILE_SIZES}
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def same_bytes(files: Mapping[int, str], size: int) -> str:
    """The address of the smallest of these files that is not smaller than ``size`` bytes."""
    return files[min((each for each in files if each >= size), default=max(files))]


def measure_load(
    origins: Sequence[Server],
    addresses: Addresses,
    *,
    n_requests: int,
    pace: float = 0,
    headers: Mapping[str, str] | None = None,
    n_clients: int = N_CLIENTS,
) -> Load:
    """``n_requests`` in all from clients dealt over the servers, each with one connection.

    ``pace`` is requests per second of all clients together; 0 is as fast as they can. ``headers`` are sent with
    each request; with If-None-Match, every response must be 304.
    """

    def client(number: int) -> list[Answer]:
        chosen = random.Random(number)
        connection = HTTPConnection("127.0.0.1", origins[number % len(origins)].port, timeout=60)
        interval = n_clients / pace if pace else 0.0
        due = time.perf_counter() + chosen.random() * interval
        answers = []
        for _ in range(n_requests // n_clients):
            time.sleep(max(0.0, due - time.perf_counter()))
            answers.append(_ask(connection, addresses(chosen), headers or {}))
            due += interval
        connection.close()
        return answers

    spent, started = sum(s.cpu_seconds() for s in origins), time.perf_counter()
    with ThreadPoolExecutor(n_clients) as pool:
        answers = list(itertools.chain.from_iterable(pool.map(client, range(n_clients))))
    seconds = time.perf_counter() - started
    return Load(answers, seconds, sum(s.cpu_seconds() for s in origins) - spent)


def _ask(connection: HTTPConnection, address: str, headers: Mapping[str, str]) -> Answer:
    started = time.perf_counter()
    connection.request("GET", address, headers={"Accept-Encoding": "gzip", **headers})
    response = connection.getresponse()
    size = len(response.read())
    milliseconds = (time.perf_counter() - started) * 1000
    if response.status != (304 if "If-None-Match" in headers else 200):
        raise RuntimeError(f"{address}: {response.status}")
    found = re.search(r"dur=([\d.]+)", response.headers.get("server-timing", ""))
    return Answer(milliseconds, float(found[1]) if found else float("nan"), size)
