"""How fast pages are answered: neuron page, list and search, from two server processes under eight clients.

First the clients ask as fast as they can: requests per second. Then they ask at half of that pace, and how long it
takes is measured, since at full pace a time only says how many clients wait in the queue. Each page stands beside a
static file of the same number of bytes from the same servers. The server's time is what it tells in
``Server-Timing``: from the request's arrival to the first byte.
"""

import itertools
import os
import random
import re
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import httpx
import numpy as np

from app.web.http.static import STATIC
from benchmarks.figures import Figure, Figures, benchmark, held_to, told
from benchmarks.synthetic import SLUG, synthetic_database

N_NEURONS = 10_000
N_SERVERS = 2
N_CLIENTS = 8
WORDS = ("import", "comments error", '"start of a line"', "function -names", "signatures or weakly", "self")
QUERIES = (
    "",
    "?layer=2",
    "?sort=-firing_rate",
    "?sort=position&layer=1",
    "?state=flagged",
    "?score_min=0.3&score_max=0.6",
    "?sort=score&state=explained",
    "?after=0.4@5000",
)
Addresses = Callable[[random.Random], str]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: milliseconds of the client and of the server, bytes as they went over the wire."""

    client_ms: float
    server_ms: float
    wire_bytes: int


@dataclass(frozen=True, slots=True)
class Load:
    """What one page was asked for, and how long all of it took."""

    answers: Sequence[Answer]
    seconds: float
    cpu_seconds: float
    """Processor time of the servers, without the database's."""

    def server(self, percentile: float) -> float:
        """Milliseconds of server time that this share of the answers, in percent, stayed below."""
        return float(np.percentile([a.server_ms for a in self.answers], percentile))

    def client(self, percentile: float) -> float:
        """The same as the clients saw it."""
        return float(np.percentile([a.client_ms for a in self.answers], percentile))

    @property
    def per_second(self) -> float:
        """Requests per second."""
        return len(self.answers) / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Processor time of the servers per request, in milliseconds."""
        return self.cpu_seconds * 1000 / len(self.answers)

    @property
    def kilobytes(self) -> float:
        """The largest answer in kB, compressed."""
        return max(a.wire_bytes for a in self.answers) / 1000


def neuron_page(chosen: random.Random) -> str:
    """A neuron's page, each equally likely."""
    layer, index = divmod(chosen.randrange(N_NEURONS), N_NEURONS // 4)
    return f"/{SLUG}/{layer}/{index}"


def list_page(chosen: random.Random) -> str:
    """A page of the list under a common filter and order."""
    query = chosen.choice(QUERIES)
    return f"/{SLUG}{query}"


def search_page(chosen: random.Random) -> str:
    """A search for words in explanations."""
    return str(httpx.URL(f"/{SLUG}", params={"words": chosen.choice(WORDS)}))


PAGES: dict[str, Addresses] = {"neuron page": neuron_page, "list": list_page, "search": search_page}


@dataclass(frozen=True, slots=True)
class Server:
    """A server process."""

    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """Processor time that it has used so far; NaN where the system does not tell (proc(5))."""
        status = Path(f"/proc/{self.pid}/stat")
        if not status.exists():
            return float("nan")
        fields = status.read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def servers(url: str) -> Iterator[list[Server]]:
    """Two real server processes over one database."""
    with ExitStack() as stack:
        yield [stack.enter_context(_server(url)) for _ in range(N_SERVERS)]


@contextmanager
def _server(url: str) -> Iterator[Server]:
    port = _free_port()
    environment = os.environ | {
        "DATABASE_URL": url,
        "NEURON_AUDIT_PORT": str(port),
        "NEURON_AUDIT_LOG_LEVEL": "warning",
    }
    command = [sys.executable, "-m", "app.cli", "serve"]
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


def _wait_for(address: str, seconds: float = 30.0) -> None:
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


def measure_load(
    origins: Sequence[Server], addresses: Addresses, *, n_requests: int, n_clients: int = N_CLIENTS, pace: float = 0
) -> Load:
    """``n_requests`` in all from clients dealt over the servers, each with one connection.

    ``pace`` is requests per second of all clients together; 0 is as fast as they can.
    """

    def client(number: int) -> list[Answer]:
        chosen = random.Random(number)
        connection = HTTPConnection("127.0.0.1", origins[number % len(origins)].port, timeout=30)
        interval = n_clients / pace if pace else 0.0
        due = time.perf_counter() + chosen.random() * interval
        answers = []
        for _ in range(n_requests // n_clients):
            time.sleep(max(0.0, due - time.perf_counter()))
            answers.append(_ask(connection, addresses(chosen)))
            due += interval
        connection.close()
        return answers

    spent, started = sum(s.cpu_seconds() for s in origins), time.perf_counter()
    with ThreadPoolExecutor(n_clients) as pool:
        answers = list(itertools.chain.from_iterable(pool.map(client, range(n_clients))))
    seconds = time.perf_counter() - started
    return Load(answers, seconds, sum(s.cpu_seconds() for s in origins) - spent)


def _ask(connection: HTTPConnection, address: str) -> Answer:
    started = time.perf_counter()
    connection.request("GET", address, headers={"Accept-Encoding": "gzip"})
    response = connection.getresponse()
    size = len(response.read())
    milliseconds = (time.perf_counter() - started) * 1000
    if response.status != 200:
        raise RuntimeError(f"{address}: {response.status}")
    found = re.search(r"dur=([\d.]+)", response.headers.get("server-timing", ""))
    return Answer(milliseconds, float(found[1]) if found else float("nan"), size)


@contextmanager
def static_file(size: int) -> Iterator[Addresses]:
    """The address of a static file of ``size`` bytes that do not compress, as compressed pages do not."""
    path = Path(STATIC) / f"benchmark-{uuid.uuid4().hex}.bin"
    path.write_bytes(random.Random(0).randbytes(size))
    try:
        yield lambda chosen: f"/static/{path.name}"
    finally:
        path.unlink()


@dataclass(frozen=True, slots=True)
class Measured:
    """One page: alone, at full and at half pace, and the static file at full and at that same half pace."""

    alone: Load
    full: Load
    half: Load
    file_full: Load
    file_half: Load


def measure(quick: bool) -> Figures:
    """Neuron page, list and search from two servers under eight clients, beside a static file of the same bytes."""
    n_requests = 400 if quick else 2_000
    figures: dict[str, Figure] = {}
    with synthetic_database(N_NEURONS) as url, servers(url) as origins:
        for name, addresses in PAGES.items():
            measure_load(origins, addresses, n_requests=80)  # templates compiled, vocabulary read, plans cached
            alone = measure_load(origins[:1], addresses, n_requests=n_requests // 8, n_clients=1)
            full = measure_load(origins, addresses, n_requests=n_requests)
            half = measure_load(origins, addresses, n_requests=n_requests, pace=full.per_second / 2)
            with static_file(round(full.kilobytes * 1000)) as file:
                file_full = measure_load(origins, file, n_requests=n_requests)
                file_half = measure_load(origins, file, n_requests=n_requests, pace=full.per_second / 2)
            figures |= _figures(name, Measured(alone, full, half, file_full, file_half))
    return figures


def _figures(name: str, measured: Measured) -> Figures:
    is_neuron = name == "neuron page"
    p50, p95 = measured.half.server(50), measured.half.server(95)
    return {
        f"{name}, server p50": held_to(p50, "ms", "<", 10) if is_neuron else told(p50, "ms"),
        f"{name}, server p95": told(p95, "ms") if is_neuron else held_to(p95, "ms", "<", 50),
        f"{name}, client p50": told(measured.half.client(50), "ms"),
        f"{name}, client p95": told(measured.half.client(95), "ms"),
        f"{name}, client p50, static file": told(measured.file_half.client(50), "ms"),
        f"{name}, server p50, one client": told(measured.alone.server(50), "ms"),
        f"{name}, server p50, full pace": told(measured.full.server(50), "ms"),
        f"{name}, server p95, full pace": told(measured.full.server(95), "ms"),
        f"{name}, requests": told(measured.full.per_second, "1/s"),
        f"{name}, requests, static file": told(measured.file_full.per_second, "1/s"),
        f"{name}, processor": told(measured.full.cpu_ms, "ms"),
        f"{name}, processor, static file": told(measured.file_full.cpu_ms, "ms"),
        f"{name}, compressed": held_to(measured.full.kilobytes, "kB", "<", 60),
    }


if __name__ == "__main__":
    benchmark("pages", measure)
