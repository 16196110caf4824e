"""How fast pages are: two server processes under eight clients, over neurons with a batch over all of them running.

For each page the clients first ask as fast as they can: requests per second, and the servers' processor time per
response, beside that of a static file of the same bytes from the same servers, from memory and from disk. Their ratio
is the target, since times alone differ threefold between two days on one machine. Before the batch changes anything,
pages are sent again, and said to be unchanged. Then clients ask at half of their pace, and the server's time is
measured, which it reports in ``Server-Timing``: from the request's arrival to the first byte of the response. At full
pace it would only say how many clients wait. Meanwhile runs of the large batch begin and end, as a worker would do it.

The pages that sum up everything (first page, methods, batches, bill, and what their viewers poll) are held to twice
the list's server time in the same run. ``--neurons 307200`` measures at the size of GPT-2 XL.
"""

import random
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode

import httpx

from app.db import make_engine, make_sessions, transaction
from app.domain.roles import Role
from app.domain.work import WorkStatus
from app.queries.common.counting import compact_counts
from app.queries.people.accounts import ensure_account
from app.queries.people.logins import create_login_token, log_in
from app.web.deps import SESSION_COOKIE
from app.work.begin import Taker, begin_run
from app.work.lease import finish
from benchmarks.compared import StaticTimes, again_figures, made_figures, measure_again, measure_files
from benchmarks.figures import Figure, Figures, benchmark, held_to, reported
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
from benchmarks.synthetic import SLUG, layers_of, synthetic_database

N_NEURONS = 10_000
RUNS_PER_SECOND = 20
"""Runs that begin and end while pages are measured."""
COMPACT_SECONDS = 5.0
"""As often as a worker adds up the kept counts."""
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
WAYS = ("day", "provider", "method", "person")
FILE = 30.0
"""Times the processor time of a static file that a page may take."""
NEURON = 20.0
"""The same for a neuron's page, which is read most."""
LIST = 2.0
"""Times the list's server time that a page of sums may take."""
PART = {"HX-Request": "true", "HX-Request-Type": "partial"}


@dataclass(frozen=True, slots=True)
class MeasuredPage:
    """A page, and what is to be reached: processor time in times of its static file's, server time in the list's."""

    addresses: Addresses
    most_of_file: float
    most_of_list: float | None = None
    is_polled: bool = False
    """Whether an open page asks for a part of itself."""
    needs_account: bool = False


def pages(n_neurons: int) -> dict[str, MeasuredPage]:
    """Every measured page by its name; the list first, since others are compared with it."""
    n_layers = layers_of(n_neurons)

    def neuron(chosen: random.Random) -> str:
        layer, index = divmod(chosen.randrange(n_neurons), n_neurons // n_layers)
        return f"/{SLUG}/{layer}/{index}"

    return {
        "list": MeasuredPage(lambda chosen: f"/{SLUG}{chosen.choice(QUERIES)}", FILE),
        "neuron page": MeasuredPage(neuron, NEURON),
        "neuron page in a list": MeasuredPage(
            lambda chosen: f"{neuron(chosen)}?{urlencode({'list': chosen.choice(QUERIES[:-1])[1:] or 'all'})}", FILE
        ),
        "search": MeasuredPage(lambda chosen: str(httpx.URL(f"/{SLUG}", params={"words": chosen.choice(WORDS)})), FILE),
        "first page": MeasuredPage(lambda _: "/", FILE, LIST),
        "first page, polled": MeasuredPage(lambda _: "/activity", FILE, LIST, is_polled=True),
        "methods": MeasuredPage(lambda _: "/methods", FILE, LIST),
        "method": MeasuredPage(lambda _: "/methods/2", FILE, LIST),
        "batches": MeasuredPage(lambda _: "/batches", FILE, LIST, needs_account=True),
        "batch": MeasuredPage(lambda _: "/batches/2", FILE, LIST, needs_account=True),
        "batch, one status": MeasuredPage(
            lambda chosen: f"/batches/2?status={chosen.choice(list(WorkStatus))}", FILE, LIST, needs_account=True
        ),
        "batch by difference": MeasuredPage(
            lambda chosen: f"/batches/2?sort={chosen.choice(('-difference', 'difference'))}",
            FILE,
            LIST,
            needs_account=True,
        ),
        "mine": MeasuredPage(lambda _: "/mine", FILE, LIST, needs_account=True),
        "batch, polled": MeasuredPage(lambda _: "/batches/2", FILE, LIST, is_polled=True, needs_account=True),
        "bill": MeasuredPage(lambda chosen: f"/bill?by={chosen.choice(WAYS)}", FILE, LIST, needs_account=True),
    }


def logged_in(url: str) -> dict[str, str]:
    """The header of a reader's requests."""
    engine = make_engine(url)
    with transaction(make_sessions(engine)) as session:
        account = ensure_account(session, name="reader", role=Role.VIEWER)
        token = create_login_token(session, account_id=account.id, minutes=5)
    with transaction(make_sessions(engine)) as session:
        cookie = log_in(session, login_token=token, days=1)
    engine.dispose()
    return {"Cookie": f"{SESSION_COOKIE}={cookie}"}


@contextmanager
def working(url: str) -> Iterator[None]:
    """Runs begin and end without results, RUNS_PER_SECOND, as a worker would have them."""
    engine, stop = make_engine(url), threading.Event()
    sessions = make_sessions(engine)

    def work() -> None:
        due, compacted = time.monotonic(), time.monotonic()
        while not stop.is_set():
            with transaction(sessions) as session:
                lease = begin_run(session, taker=Taker(uuid.uuid4(), uuid.uuid4(), 60))
            if lease is not None:
                with transaction(sessions) as session:
                    finish(session, lease=lease)
            if time.monotonic() - compacted > COMPACT_SECONDS:
                with transaction(sessions) as session:
                    compact_counts(session)
                compacted = time.monotonic()
            due = max(due, time.monotonic()) + 1 / RUNS_PER_SECOND
            stop.wait(due - time.monotonic())

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        engine.dispose()


@dataclass(frozen=True, slots=True)
class Measured:
    """A page at full and at half pace, and its static file at full pace."""

    full: Load
    half: Load
    files: StaticTimes


def measure(quick: bool, neurons: int = N_NEURONS) -> Figures:
    """Every kind of page from two servers under eight clients, beside a static file of the same bytes."""
    n_requests = 320 if quick else 1_600
    with (
        synthetic_database(neurons) as url,
        static_files() as files,
        servers(url, module=WITH_FILES_FROM_DISK) as origins,
    ):
        reader = logged_in(url)
        again = {  # before anything changes: a running batch makes every page anew
            name: measure_again(
                origins,
                page.addresses(random.Random(0)),
                files,
                n_requests=2 * n_requests,
                headers=_headers(page, reader),
            )
            for name, page in pages(neurons).items()
        }
        with working(url):
            measured = {
                name: _measured(origins, page, files, _headers(page, reader), n_requests)
                for name, page in pages(neurons).items()
            }
    figures: dict[str, Figure] = {"neurons": reported(neurons, "")}
    for name, page in pages(neurons).items():
        figures |= {**_figures(name, page, measured[name], measured["list"]), **again_figures(name, again[name])}
    return figures


def _headers(page: MeasuredPage, reader: Mapping[str, str]) -> dict[str, str]:
    return {**(reader if page.needs_account else {}), **(PART if page.is_polled else {})}


def _measured(
    origins: list[Server], page: MeasuredPage, files: Mapping[int, str], headers: dict[str, str], n_requests: int
) -> Measured:
    # Templates compiled, vocabulary read, plans cached.
    addresses = made_anew(page.addresses)
    measure_load(origins, addresses, n_requests=80, headers=headers)
    full = measure_load(origins, addresses, n_requests=n_requests, headers=headers)
    half = measure_load(origins, addresses, n_requests=n_requests // 2, pace=full.per_second / 2, headers=headers)
    return Measured(full, half, measure_files(origins, files, full.largest, n_requests=4 * n_requests))


def _figures(name: str, page: MeasuredPage, measured: Measured, listed: Measured) -> Figures:
    p50 = measured.half.server(50)
    figures = {
        **made_figures(name, measured.full, measured.files, page.most_of_file),
        f"{name}, server p50": reported(p50, "ms"),
        f"{name}, server p95": reported(measured.half.server(95), "ms"),
        f"{name}, requests": reported(measured.full.per_second, "1/s"),
        f"{name}, compressed": held_to(measured.full.largest / 1000, "kB", "<", 60),
    }
    if page.most_of_list is not None:
        figures[f"{name}, server time"] = held_to(
            p50 / listed.half.server(50), "of the list's", "<=", page.most_of_list
        )
    return figures


if __name__ == "__main__":
    benchmark("pages", measure, neurons=N_NEURONS)
