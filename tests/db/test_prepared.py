from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Engine, Integer, Select, bindparam, column, func, insert, literal, null, select, text
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.orm import Session

from app.db import Limits, make_engine, make_reading_sessions
from app.domain.activations import SampleKind
from app.models import Account
from app.queries.common.prepared import (
    BoundSelect,
    PreparedSelect,
    PreparedWrite,
    Reads,
    labelled,
    one_round_trip,
    one_statement,
    rows_of,
)
from tests.factories import Make
from tests.queries import counted_queries


@dataclass(frozen=True)
class Person:
    """The row that a test selects."""

    name: str
    role: str


@dataclass(frozen=True)
class Number:
    """One number."""

    value: float


@dataclass(frozen=True)
class Nothing:
    """The row of a function that returns nothing."""

    value: object


@dataclass(frozen=True)
class Pair:
    """A row with dataclasses, an enum and what may be missing."""

    kind: SampleKind
    other_kind: SampleKind | None
    first: Number
    second: Number | None
    last: int


@dataclass(frozen=True)
class Kinds:
    """A row of values of many types."""

    part: int
    word: str
    nothing: float | None
    numbers: list[int | None]
    raw: bytes
    at: datetime | None
    detail: dict[str, Any] | None
    single: float | None


NAMES = PreparedSelect(Person, select(Account.name, Account.role).where(Account.name == bindparam("name")).limit(1))
QUOTIENT = PreparedSelect(Number, select((6 / bindparam("by", type_=Integer)).label("value")))
END = PreparedSelect(Nothing, select(func.pg_terminate_backend(func.pg_backend_pid()).label("value")))


def alone(session: Session, bound: BoundSelect[Any]) -> None:
    """Send a statement by itself."""
    rows_of(session, bound)


def in_a_trip(session: Session, bound: BoundSelect[Any]) -> None:
    """Send a statement twice in a round trip."""
    with one_round_trip(session) as trip:
        trip.send(bound)
        trip.send(bound)


def as_a_part(session: Session, bound: BoundSelect[Any]) -> None:
    """Send a statement as two parts of one."""
    with one_statement(session) as asked:
        asked.send(bound)
        asked.send(bound)


WAYS = [alone, in_a_trip, as_a_part]
Send = Callable[[Session, BoundSelect[Any]], None]


@pytest.mark.parametrize("together", [one_round_trip, one_statement])
def test_several_statements_are_answered_each_by_itself(
    session: Session, make: Make, together: Callable[[Session], AbstractContextManager[Reads]]
) -> None:
    make.account("alice", "administrator")
    make.account("bob", "reviewer")
    with together(session) as trip:
        answers = [trip.send(NAMES.given(name=name)) for name in ("bob", "nobody", "alice")]
    assert [answer.rows for answer in answers] == [[Person("bob", "reviewer")], [], [Person("alice", "administrator")]]


def test_what_the_transaction_has_added_is_among_the_rows(session: Session) -> None:
    session.add(Account(name="dora", role="viewer"))
    assert rows_of(session, NAMES.given(name="dora")) == [Person("dora", "viewer")]


@pytest.mark.parametrize(
    "statement",
    [
        select(Account.role, Account.name),
        select(Account.name, Account.role, Account.id),
        select(Account.name),
        select(Account.name, Account.role.label("kind")),
    ],
)
def test_columns_that_are_not_the_fields_of_the_row_are_refused_at_import(statement: Select[*tuple[str, ...]]) -> None:
    with pytest.raises(TypeError, match=r"Person has the fields \['name', 'role'\], the statement the columns"):
        PreparedSelect(Person, statement)


@pytest.mark.parametrize("parameters", [{}, {"nme": "bob"}, {"name": "bob", "role": "administrator"}])
def test_missing_and_unknown_parameters_are_refused(parameters: dict[str, str]) -> None:
    with pytest.raises(TypeError, match="the statement takes"):
        NAMES.given(**parameters)


@pytest.mark.parametrize(("second", "expected"), [(null(), None), (literal(2.5), Number(2.5))])
def test_nested_rows_enums_and_missing_ones_are_made_from_their_columns(
    session: Session, second: object, expected: Number | None
) -> None:
    statement = PreparedSelect(
        Pair,
        select(
            literal("top").label("kind"),
            null().label("other_kind"),
            *labelled("first", {"value": literal(1.5)}),
            *labelled("second", {"value": second}),
            literal(7).label("last"),
        ),
    )
    assert rows_of(session, statement.given()) == [Pair(SampleKind.TOP, None, Number(1.5), expected, 7)]


KINDS = PreparedSelect(
    Kinds,
    text("""
    SELECT 7 AS part, 'word %%' AS word, NULL::float8 AS nothing, '{3,NULL}'::bigint[] AS numbers,
        '\\x00ff'::bytea AS raw, '2026-01-02 03:04:05+00'::timestamptz AS at, '{"a": [1]}'::jsonb AS detail,
        0.1::real AS single
    UNION ALL SELECT 8, '', 1.5, '{}', '', NULL, NULL, NULL ORDER BY part DESC
    """).columns(*map(column, ("part", "word", "nothing", "numbers", "raw", "at", "detail", "single"))),
)


def test_values_of_every_type_are_the_same_in_a_part_of_a_statement(session: Session) -> None:
    rows = rows_of(session, KINDS.given())
    with one_statement(session) as asked:
        names, parts, none = (
            asked.send(NAMES.given(name="x")),
            asked.send(KINDS.given()),
            asked.send(NAMES.given(name="")),
        )
    assert parts.rows == rows
    assert [row.part for row in rows] == [8, 7]
    assert (rows[1].numbers, rows[1].raw, rows[1].detail) == ([3, None], b"\x00\xff", {"a": [1]})
    assert (names.rows, none.rows) == ([], [])


def test_nothing_is_sent_where_nothing_was_asked(session: Session, engine: Engine) -> None:
    with counted_queries(engine) as sent, one_statement(session):
        pass
    assert sent == []


@pytest.mark.parametrize("send", WAYS)
def test_errors_are_those_of_sqlalchemy_and_the_connection_can_be_used_again(fresh_database: str, send: Send) -> None:
    engine = make_engine(fresh_database, limits=Limits(pool_size=1))
    with make_reading_sessions(engine)() as session:
        with pytest.raises(DataError, match="division by zero"):
            send(session, QUOTIENT.given(by=0))
        assert rows_of(session, QUOTIENT.given(by=1)) == [Number(6.0)]
        assert session.scalar(text("SELECT 1")) == 1
    engine.dispose()


@pytest.mark.parametrize("send", WAYS)
def test_a_server_that_goes_away_is_an_outage(fresh_database: str, send: Send) -> None:
    engine = make_engine(fresh_database, limits=Limits(pool_size=1))
    sessions = make_reading_sessions(engine)
    with sessions() as session, pytest.raises(OperationalError):
        send(session, END.given())
    with sessions() as session:
        assert rows_of(session, QUOTIENT.given(by=1)) == [Number(6.0)]
    engine.dispose()


def test_several_rows_are_inserted_together(session: Session) -> None:
    write = PreparedWrite(insert(Account), columns=["name", "role"])
    rows = [{"name": name, "role": "viewer"} for name in ("xia", "yan", "zoë %s % VALUES (1)")]
    with one_round_trip(session) as trip:
        trip.change(write)
        trip.change(write, rows[0])
        trip.change(write, *rows[1:])
    found = select(Account.name).where(Account.name.in_([row["name"] for row in rows])).order_by(Account.id)
    assert session.scalars(found).all() == ["xia", "yan", "zoë %s % VALUES (1)"]


@pytest.mark.parametrize("row", [{"name": "zoe"}, {"name": "zoe", "role": "viewer", "id": 1}])
def test_each_of_several_rows_has_what_the_statement_takes(session: Session, row: dict[str, object]) -> None:
    write = PreparedWrite(insert(Account), columns=["name", "role"])
    with one_round_trip(session) as trip, pytest.raises(TypeError, match=r"takes \['name', 'role'\], not"):
        trip.change(write, {"name": "yan", "role": "viewer"}, row)
