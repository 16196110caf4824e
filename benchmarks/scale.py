"""All of GPT-2 XL in the browser: pages over a data set that our importer has loaded, beside one of 10,000 neurons.

Two server processes under eight clients. For each kind of page: the servers' processor time per response in times of a
static file of the same bytes, from the same servers in the same run; and the server's time of a single client, which
includes the database, in times of what it is at ``--small`` neurons: its growth. Each page stands beside our file, from
memory, and beside the same file from disk; then what is sent again, and what is only said to be unchanged, beside the
same of a file (``benchmarks.compared``). Then queries per page, the slowest statements with their plans, first starts,
memory, and bytes on disk.

``--database`` names a database that holds the data set already, or a part of it: what is missing is imported. Loading
307,200 neurons takes an hour. ``--fill copy`` writes neurons past the importer, as ``benchmarks.pages`` does, in
minutes: for the pages alone.
"""

import random
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

import httpx
import psutil
import psycopg
from rich.console import Console
from sqlalchemy.engine import make_url
from starlette.testclient import TestClient

from app.db import make_engine, make_reading_sessions, make_sessions
from app.log import configure_logging
from app.schema import prepare
from app.settings import Settings
from app.transfer.importing import ImportProgress, ImportRequest, run_import
from app.web.main import create_app
from benchmarks import synthetic
from benchmarks.compared import StaticTimes, again_figures, made_figures, measure_again, measure_files
from benchmarks.database import empty_database
from benchmarks.figures import Figure, Figures, benchmark, held_to, reported
from benchmarks.generated_source import GeneratedFiles
from benchmarks.load import (
    WITH_FILES_FROM_DISK,
    Addresses,
    Load,
    Server,
    made_anew,
    measure_load,
    servers,
    static_files,
)
from benchmarks.pages import logged_in
from benchmarks.synthetic_files import LAYERS, Shape
from benchmarks.watched import Sent, plan_of, watched

SLUG = "gpt2-xl"
WORDS = ("comments error", '"start of a line"', "documentation around", "signatures or weakly", "fires -weakly")
"""Each finds more than a page shows, among few neurons too: so a page is the same work among many."""
SLOWEST = 3
MOST_QUERIES = 6


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of page. ``most`` is of its static file's processor time; None where the list is the measure."""

    addresses: Addresses
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Filled:
    """What a database is filled with: a subject's name in addresses, and its shape."""

    slug: str
    n_layers: int
    per_layer: int
    is_copied: bool

    @classmethod
    def of(cls, n_neurons: int, *, is_copied: bool) -> "Filled":
        """So many neurons, by the importer or past it. Any number has as many layers: a page shows a row for each."""
        if is_copied:
            return cls(synthetic.SLUG, LAYERS, n_neurons // LAYERS, is_copied=True)
        shape = Shape.of(n_neurons)
        return cls(SLUG, shape.n_layers, shape.per_layer, is_copied=False)


def kinds(filled: Filled) -> dict[str, Kind]:
    """Every kind of page; the list first, since sums are held to twice its time."""
    slug, n_neurons = filled.slug, filled.n_layers * filled.per_layer

    def neuron(chosen: random.Random) -> str:
        layer, index = divmod(chosen.randrange(n_neurons), filled.per_layer)
        return f"/{slug}/{layer}/{index}"

    def filtered(chosen: random.Random) -> str:
        low, layer = round(chosen.uniform(0, 0.5), 2), chosen.randrange(filled.n_layers)
        queries: tuple[dict[str, object], ...] = (
            {},
            {"layer": layer},
            {"score_min": low, "score_max": low + 0.1},
            {"sort": "position", "layer": layer},
            {"sort": "score", "state": "explained"},
            {"sort": "-max"},
            {"layer_min": layer, "index_min": 10, "index_max": 20},
            {"state": "doubtful"},
        )
        return f"/{slug}?{urlencode(chosen.choice(queries))}"

    def deep(chosen: random.Random) -> str:
        after = f"{chosen.uniform(0, 0.5):.3f}@{chosen.randrange(n_neurons)}"
        return f"/{slug}?{urlencode({'sort': '-score', 'after': after})}"

    return {
        "list": Kind(filtered, 4),
        "list, deep pages": Kind(deep, 4),
        "search": Kind(lambda chosen: f"/{slug}?{urlencode({'words': chosen.choice(WORDS)})}", 4),
        "neuron page": Kind(neuron, 3),
        "atlas": Kind(lambda _: f"/{slug}/atlas.bin", 1.2),
        "atlas page": Kind(lambda _: f"/{slug}/atlas"),
        "plots": Kind(lambda _: f"/{slug}/plots"),
        "first page": Kind(lambda _: "/"),
        "methods": Kind(lambda _: "/methods"),
        "batches": Kind(lambda _: "/batches"),
        "campaigns": Kind(lambda _: "/campaigns"),
    }


@dataclass(frozen=True, slots=True)
class Measured:
    """A kind of page under load, its static file under the same, and alone: one client, most of it the database."""

    full: Load
    files: StaticTimes
    alone: Load


def load(url: str, n_neurons: int, *, is_copied: bool) -> float:
    """Import a generated data set by one call, or go on with it; or copy it. Seconds that it took."""
    if is_copied:
        begun = time.perf_counter()
        synthetic.fill(url, n_neurons, n_layers=LAYERS)
        return time.perf_counter() - begun
    engine = make_engine(url)
    prepare(engine)
    source, started, shown = GeneratedFiles(n_neurons), time.perf_counter(), [0.0]

    def tell(progress: ImportProgress) -> None:
        if time.perf_counter() - shown[0] > 60:
            shown[0] = time.perf_counter()
            Console(stderr=True).print(f"{progress.share:.1%} after {shown[0] - started:.0f} s")

    run_import(make_sessions(engine), source, ImportRequest(SLUG, name="GPT-2 XL, generated"), tell=tell)
    engine.dispose()
    with psycopg.connect(_plain(url), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    return time.perf_counter() - started


def _is_loaded(url: str, n_neurons: int) -> bool:
    engine = make_engine(url)
    prepare(engine)
    engine.dispose()
    with psycopg.connect(_plain(url)) as connection:
        row = connection.execute("SELECT count(*) FROM neuron").fetchone()
    return row is not None and row[0] >= n_neurons


def measure(
    quick: bool, neurons: int = 10_000, small: int = 2_000, database: str = "", fill: str = "import"
) -> Figures:
    """Pages over all neurons of a generated data set, beside a smaller one."""
    is_copied = {"import": False, "copy": True}[fill]
    neurons, small = neurons // LAYERS * LAYERS, small // LAYERS * LAYERS  # every layer is whole
    filled, few = Filled.of(neurons, is_copied=is_copied), Filled.of(small, is_copied=is_copied)
    figures: dict[str, Figure] = {"neurons": reported(neurons, "")}
    n_requests = 160 if quick else 800
    with ExitStack() as stack:
        files = stack.enter_context(static_files())
        url = database or stack.enter_context(empty_database())
        if not _is_loaded(url, neurons):
            figures[fill] = reported(neurons / load(url, neurons, is_copied=is_copied), "neurons/s")
        found = _pages(url, filled, files, n_requests)
        figures |= _again(url, filled, files, n_requests)
        figures |= _queries(url, filled)
        if not is_copied:
            figures |= _storage(url, neurons)
        with empty_database() as empty:
            figures |= _starts(url, empty, filled.slug)
            load(empty, small, is_copied=is_copied)
            smaller = _pages(empty, few, files, n_requests // 2)
    for name, kind in kinds(filled).items():
        figures |= _of_page(name, kind, found[name], smaller[name], found["list"])
    return figures


def _of_page(name: str, kind: Kind, page: Measured, smaller: Measured, listed: Measured) -> Figures:
    growth = statistics.median(a.server_ms for a in page.alone.answers) / statistics.median(
        a.server_ms for a in smaller.alone.answers
    )
    figures = {
        **made_figures(name, page.full, page.files, kind.most),
        f"{name}, server time of one client": reported(page.alone.server(50), "ms"),
        f"{name}, growth": held_to(growth, "of the smaller one's", "<=", 1.2),
        f"{name}, compressed": reported(page.full.largest / 1000, "kB"),
    }
    if kind.most is None:
        figures[f"{name}, of the list"] = held_to(page.full.cpu_ms / listed.full.cpu_ms, "of the list's", "<=", 2)
    return figures


def _pages(url: str, filled: Filled, files: Mapping[int, str], n_requests: int) -> dict[str, Measured]:
    with servers(url, module=WITH_FILES_FROM_DISK) as origins:
        reader = logged_in(url)
        return {name: _measured(origins, name, kind, files, reader, n_requests) for name, kind in kinds(filled).items()}


def _measured(
    origins: list[Server], name: str, kind: Kind, files: Mapping[int, str], reader: dict[str, str], n_requests: int
) -> Measured:
    headers = reader if name == "batches" else {}
    addresses = made_anew(kind.addresses)
    measure_load(origins, addresses, n_requests=80, headers=headers)  # templates compiled, plans cached
    full = measure_load(origins, addresses, n_requests=n_requests, headers=headers)
    alone = measure_load(origins[:1], addresses, n_requests=max(20, n_requests // 8), headers=headers, n_clients=1)
    return Measured(full, measure_files(origins, files, full.largest, n_requests=4 * n_requests), alone)


def _again(url: str, filled: Filled, files: Mapping[int, str], n_requests: int) -> Figures:
    """What it costs to say that a page is unchanged, and to send what was sent before, beside the same of a file."""
    figures: dict[str, Figure] = {}
    with servers(url) as origins:
        for name, kind in kinds(filled).items():
            path = kind.addresses(random.Random(0))
            if name != "batches":  # which needs an account, and is made each time
                figures |= again_figures(name, measure_again(origins, path, files, n_requests=5 * n_requests))
    return figures


def _queries(url: str, filled: Filled) -> Figures:
    """Queries of each kind of page, and the plans of the slowest statements, which are printed."""
    configure_logging(Settings(log_level="warning"))  # not a line per request between the plans
    engine, most, slowest = make_engine(url), 0, dict[str, Sent]()
    with TemporaryDirectory() as folder, watched(engine) as found:
        app = create_app(Settings(data_dir=Path(folder)), make_sessions(engine), reading=make_reading_sessions(engine))
        with TestClient(app, base_url="http://localhost") as client:
            for name, kind in kinds(filled).items():
                counts = []
                for number in range(12):
                    found.clear()
                    client.get(kind.addresses(random.Random(number)))
                    counts.append(len(found.sent))
                    for sent in found.sent if number > 1 else ():
                        if sent.seconds > slowest.get(sent.text, Sent("", None, 0.0)).seconds:
                            slowest[sent.text] = sent
                most = max(most, max(counts[1:]))
                Console(stderr=True).print(f"{name}: {max(counts[1:])} queries")
    engine.dispose()
    for sent in sorted(slowest.values(), key=lambda each: -each.seconds)[:SLOWEST]:
        text = "\n".join(plan_of(_plain(url), sent))
        Console(stderr=True).print(
            f"{1000 * sent.seconds:.1f} ms\n{sent.text}\n{text}\n", markup=False, highlight=False
        )
    return {"most queries of a page": held_to(most, "", "<=", MOST_QUERIES)}


def _storage(url: str, n_neurons: int) -> Figures:
    json_bytes = _json_bytes()
    with psycopg.connect(_plain(url)) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    on_disk = (row[0] if row else 0) / n_neurons
    return {
        "on disk": reported(on_disk / 1000, "kB per neuron"),
        "as JSON": reported(json_bytes / 1000, "kB per neuron"),
        "on disk, share of the JSON": held_to(on_disk / json_bytes, "", "<", 0.2),
    }


def _json_bytes(n_neurons: int = 256) -> float:
    source = GeneratedFiles(n_neurons)
    for _ in source.entries(lambda _: None):
        pass
    return source.n_bytes / n_neurons


def _starts(url: str, empty: str, slug: str) -> Figures:
    """Seconds until a server answers, over the full and over an empty database, and its memory after pages."""
    seconds = {}
    with _started(empty) as (seconds["empty"], _):
        pass
    with _started(url) as (seconds["full"], server):
        for path in ("/", f"/{slug}", f"/{slug}/0/0", f"/{slug}/atlas.bin"):
            httpx.get(f"http://127.0.0.1:{server.port}{path}", timeout=60).raise_for_status()
        memory = psutil.Process(server.pid).memory_info().rss
    return {
        "first start, full less empty": held_to(seconds["full"] - seconds["empty"], "s", "<=", 1),
        "memory of a server": held_to(memory / 1e6, "MB", "<", 300),
    }


@contextmanager
def _started(url: str) -> Iterator[tuple[float, Server]]:
    engine = make_engine(url)
    prepare(engine)
    engine.dispose()
    begun = time.perf_counter()
    with servers(url, n_servers=1) as (server,):
        yield time.perf_counter() - begun, server


def _plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


if __name__ == "__main__":
    benchmark("scale", measure, neurons=10_000, small=2_000, database="", fill="import")
