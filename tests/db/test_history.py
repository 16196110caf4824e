from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError
from typer.testing import CliRunner

from app.cli.main import cli
from app.db import make_sessions, transaction
from app.domain.events import EventKind
from app.domain.history import Break, verify
from app.queries.history.chain import chain_head, chain_links, unlinked
from app.queries.history.events import record_event

ODD = {"text": 'quote " and \\ and \u202e and é', "number": 1.10, "big": 12345678901234567890, "list": [None, True]}


@pytest.fixture
def written(fresh_engine: Engine) -> Engine:
    """A database with five events, committed in three transactions, after the rules of the standing campaign."""
    sessions = make_sessions(fresh_engine)
    for kinds in (["account.added", "batch.queued"], ["run.failed"], ["flag.opened", "verdict.given"]):
        with transaction(sessions) as session:
            for kind in kinds:
                record_event(session, kind=EventKind(kind), detail=ODD)
    return fresh_engine


def tamper(engine: Engine, statement: str) -> None:
    """A change by a superuser, for whom no trigger runs."""
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text(statement))


def broken(engine: Engine) -> list[tuple[int, Break]]:
    with make_sessions(engine)() as session:
        return [(fault.position, fault.what) for fault in verify(chain_links(session)).faults]


def test_events_are_linked_in_the_order_of_their_commits(written: Engine) -> None:
    with make_sessions(written)() as session:
        links = list(chain_links(session))
        assert [link.position for link in links] == [1, 2, 3, 4, 5, 6]
        assert [link.subject.partition(" ")[0] for link in links] == ["seal", *["event"] * 5]
        assert verify(links).faults == ()
        assert verify(links).head == chain_head(session)
        assert unlinked(session) == []


def test_what_is_rolled_back_leaves_no_link(written: Engine) -> None:
    with make_sessions(written)() as session:
        record_event(session, kind=EventKind.RUN_RETRIED)
        session.flush()
        session.rollback()
        assert len(list(chain_links(session))) == 6


def test_writers_at_the_same_time_make_one_chain(written: Engine) -> None:
    sessions = make_sessions(written)

    def write(number: int) -> None:
        for turn in range(10):
            with transaction(sessions) as session:
                record_event(session, kind=EventKind.RUN_SUCCEEDED, detail={"writer": number, "turn": turn})

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))
    with sessions() as session:
        found = verify(chain_links(session))
    assert (found.n_links, found.faults) == (86, ())


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE event SET kind = 'run.retried' WHERE kind = 'run.failed'", [(4, Break.EDITED)]),
        ("UPDATE event SET detail = '{}' WHERE kind = 'account.added'", [(2, Break.EDITED)]),
        ("UPDATE event SET at = at + interval '1 microsecond' WHERE kind = 'verdict.given'", [(6, Break.EDITED)]),
        ("DELETE FROM event WHERE kind = 'batch.queued'", [(3, Break.REMOVED)]),
        ("DELETE FROM event_link WHERE position = 4", [(5, Break.GAP)]),
        ("UPDATE event_link SET hash = sha256('x') WHERE position = 2", [(2, Break.EDITED), (3, Break.EDITED)]),
        ("UPDATE row_seal SET keys = '{5}'", [(1, Break.EDITED)]),
        ("UPDATE row_seal SET digests[1] = sha256('x')", [(1, Break.EDITED)]),
        ("UPDATE row_seal SET table_name = 'score'", [(1, Break.EDITED)]),
        ("DELETE FROM row_seal", [(1, Break.REMOVED)]),
        (
            "UPDATE event SET kind = CASE kind WHEN 'account.added' THEN 'verdict.given' ELSE 'account.added' END"
            " WHERE kind IN ('account.added', 'verdict.given')",
            [(2, Break.EDITED), (6, Break.EDITED)],
        ),
    ],
)
def test_one_changed_row_is_found(written: Engine, statement: str, expected: list[tuple[int, Break]]) -> None:
    tamper(written, statement)
    assert broken(written) == expected


def test_an_event_that_was_added_without_its_trigger_is_found(written: Engine) -> None:
    tamper(written, "INSERT INTO event (kind) VALUES ('run.cancelled')")
    with make_sessions(written)() as session:
        assert [each.partition(" ")[0] for each in unlinked(session)] == ["event"]


@pytest.mark.parametrize("table", ["event", "event_link", "row_seal"])
@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM {}", "TRUNCATE {} CASCADE", "UPDATE {} SET {} = {}"],
    ids=["delete", "truncate", "update"],
)
def test_the_database_itself_refuses_changes(written: Engine, table: str, statement: str) -> None:
    column = {"event": "kind", "event_link": "hash", "row_seal": "keys"}[table]
    with pytest.raises(IntegrityError, match="never changed or deleted"), written.begin() as connection:
        connection.execute(text(statement.format(table, column, column)))


def test_the_command_says_what_is_wrong_and_fails(
    written: Engine, fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", fresh_database)
    runner = CliRunner()
    head = runner.invoke(cli, ["history", "head"]).output.strip()
    intact = runner.invoke(cli, ["history", "verify", "--head", head])
    assert intact.exit_code == 0
    assert f"6 links, head {head}: intact" in intact.output
    other = runner.invoke(cli, ["history", "verify", "--head", "00"])
    assert (other.exit_code, "does not hold the head" in other.output) == (1, True)
    tamper(written, "UPDATE event SET kind = 'run.retried' WHERE kind = 'run.failed'")
    edited = runner.invoke(cli, ["history", "verify"])
    assert edited.exit_code == 1
    assert "link 4, event" in edited.output
    assert "1 fault\n" in edited.output


def test_the_database_refuses_an_unknown_kind(fresh_engine: Engine) -> None:
    with pytest.raises(IntegrityError, match="ck_event_kind"), fresh_engine.begin() as connection:
        connection.execute(text("INSERT INTO event (kind) VALUES ('run.exploded')"))
