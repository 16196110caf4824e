"""How fast pages are answered: neuron page, list and search, from two server processes under eight clients.

Each page stands beside a static file of the same number of bytes from the same servers: what is above it is ours.
The time of the server is what it tells in ``Server-Timing``: from the request's arrival to the first byte, waiting
for other requests of the same process included.
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
from pathlib import Path

import httpx
import numpy as np

from app.web.static import STATIC
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


@contextmanager
def servers(url: str) -> Iterator[list[str]]:
    """Addresses of two real server processes over one database."""
    with ExitStack() as stack:
        yield [stack.enter_context(_server(url)) for _ in range(N_SERVERS)]


@contextmanager
def _server(url: str) -> Iterator[str]:
    port = _free_port()
    environment = os.environ | {
        "DATABASE_URL": url,
        "NEURON_AUDIT_PORT": str(port),
        "NEURON_AUDIT_LOG_LEVEL": "warning",
    }
    command = [sys.executable, "-m", "app.cli", "serve"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_for(address)
        yield address
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


def measure_load(origins: Sequence[str], addresses: Addresses, *, n_requests: int, n_clients: int = N_CLIENTS) -> Load:
    """``n_requests`` in all, each client asking one after the other, clients dealt over the servers."""

    def client(number: int) -> list[Answer]:
        chosen = random.Random(number)
        with httpx.Client(base_url=origins[number % len(origins)]) as http:
            return [_ask(http, addresses(chosen)) for _ in range(n_requests // n_clients)]

    started = time.perf_counter()
    with ThreadPoolExecutor(n_clients) as pool:
        answers = list(itertools.chain.from_iterable(pool.map(client, range(n_clients))))
    return Load(answers, time.perf_counter() - started)


def _ask(http: httpx.Client, address: str) -> Answer:
    started = time.perf_counter()
    with http.stream("GET", address, headers={"Accept-Encoding": "gzip"}) as response:
        response.raise_for_status()
        size = sum(len(part) for part in response.iter_raw())
    milliseconds = (time.perf_counter() - started) * 1000
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


def measure(quick: bool) -> Figures:
    """Neuron page, list and search from two servers under eight clients, beside a static file of the same bytes."""
    n_requests = 400 if quick else 2_000
    figures: dict[str, Figure] = {}
    with synthetic_database(N_NEURONS) as url, servers(url) as origins:
        for name, addresses in PAGES.items():
            measure_load(origins, addresses, n_requests=80)  # templates compiled, vocabulary read, plans cached
            alone = measure_load(origins[:1], addresses, n_requests=n_requests // 8, n_clients=1)
            load = measure_load(origins, addresses, n_requests=n_requests)
            with static_file(round(load.kilobytes * 1000)) as file:
                file_load = measure_load(origins, file, n_requests=n_requests)
            figures |= _figures(name, alone, load, file_load)
    return figures


def _figures(name: str, alone: Load, load: Load, file_load: Load) -> Figures:
    is_neuron = name == "neuron page"
    p50, p95 = load.server(50), load.server(95)
    return {
        f"{name}, server p50": held_to(p50, "ms", "<", 10) if is_neuron else told(p50, "ms"),
        f"{name}, server p95": told(p95, "ms") if is_neuron else held_to(p95, "ms", "<", 50),
        f"{name}, server p50, one client": told(alone.server(50), "ms"),
        f"{name}, server p95, one client": told(alone.server(95), "ms"),
        f"{name}, client p50": told(load.client(50), "ms"),
        f"{name}, client p95": told(load.client(95), "ms"),
        f"{name}, requests": told(load.per_second, "1/s"),
        f"{name}, static file's requests": told(file_load.per_second, "1/s"),
        f"{name}, static file's client p50": told(file_load.client(50), "ms"),
        f"{name}, compressed": held_to(load.kilobytes, "kB", "<", 60),
    }


if __name__ == "__main__":
    benchmark("pages", measure)
