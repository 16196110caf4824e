"""What the chain of events and seals costs: ``python -m benchmarks.history``.

Writers commit one event each, as workers do, over a database of their own: with the chain, and with its trigger taken
away, by turns. Then rows that only grow are written by COPY, with and without their seals, and compared with them.
"""

import statistics
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

from rich.console import Console
from sqlalchemy import Engine, text

from app.db import Limits, Sessions, make_engine, make_sessions, transaction
from app.domain.events import EventKind
from app.queries.common.bulk import copy_into
from app.queries.history.events import record_event
from app.queries.history.sealed import changed_rows
from benchmarks.database import empty_database
from tests.factories import Make

TURNS = 5
COMMITS = 400
WRITERS = (1, 8)
ROWS = 20_000
COLUMNS = {"neuron_id": "int8", "text": "text", "author_kind": "text", "author": "text"}
SWITCH = "ALTER TABLE event {} TRIGGER link_event"


def main() -> None:
    """Print commits per second with and without the chain, and their ratio."""
    console = Console()
    with empty_database() as url:
        engine = make_engine(url, limits=Limits(pool_size=max(WRITERS)))
        for writers in WRITERS:
            with_chain, without = measured(engine, writers)
            console.print(
                f"{writers} writers: {with_chain:.0f} commits/s with the chain, {without:.0f} without,"
                f" ratio {with_chain / without:.2f}"
            )
        for switch, seconds in copied(engine).items():
            console.print(f"seals {switch.lower()}d: {ROWS:,} explanations copied in {seconds:.2f} s")
        started = perf_counter()
        with make_sessions(engine)() as session:
            changed_rows(session)
        n_rows = TURNS * 2 * ROWS
        console.print(f"{n_rows:,} rows compared with their seals in {perf_counter() - started:.2f} s")
        engine.dispose()


def copied(engine: Engine) -> dict[str, float]:
    """Median seconds of one COPY with seals and without."""
    seconds: dict[str, list[float]] = {"ENABLE": [], "DISABLE": []}
    with transaction(make_sessions(engine)) as session:
        make = Make(session)
        neuron_id = make.neuron(make.subject()).id
    for _ in range(TURNS):
        for switch, found in seconds.items():
            with engine.begin() as connection:
                connection.execute(text(f"ALTER TABLE explanation {switch} TRIGGER seal_rows"))
            started = perf_counter()
            with transaction(make_sessions(engine)) as session:
                rows = ((neuron_id, f"fires on the token number {i}", "import", "somebody") for i in range(ROWS))
                copy_into(session, "explanation", COLUMNS, rows)
            found.append(perf_counter() - started)
    return {switch: statistics.median(found) for switch, found in seconds.items()}


def measured(engine: Engine, writers: int) -> tuple[float, float]:
    """Median commits per second with the chain and without."""
    rates: dict[str, list[float]] = {"ENABLE": [], "DISABLE": []}
    for _ in range(TURNS):
        for switch, found in rates.items():
            with engine.begin() as connection:
                connection.execute(text(SWITCH.format(switch)))
            found.append(commits_per_second(make_sessions(engine), writers))
    return statistics.median(rates["ENABLE"]), statistics.median(rates["DISABLE"])


def commits_per_second(sessions: Sessions, writers: int) -> float:
    """How fast so many threads commit an event each."""

    def write(number: int) -> None:
        for turn in range(COMMITS // writers):
            with transaction(sessions) as session:
                record_event(session, kind=EventKind.RUN_SUCCEEDED, detail={"writer": number, "turn": turn})

    started = perf_counter()
    with ThreadPoolExecutor(writers) as threads:
        list(threads.map(write, range(writers)))
    return COMMITS / (perf_counter() - started)


if __name__ == "__main__":
    main()
