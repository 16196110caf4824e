from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Integer, Select, bindparam, func, literal, null, select, text
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.orm import Session

from app.db import Limits, make_engine, make_reading_sessions
from app.domain.activations import SampleKind
from app.models import Account
from app.queries.common.prepared import BoundSelect, PreparedSelect, labelled, one_round_trip, rows_of
from tests.factories import Make


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


NAMES = PreparedSelect(Person, select(Account.name, Account.role).where(Account.name == bindparam("name")).limit(1))
QUOTIENT = PreparedSelect(Number, select((6 / bindparam("by", type_=Integer)).label("value")))
END = PreparedSelect(Nothing, select(func.pg_terminate_backend(func.pg_backend_pid()).label("value")))


def send(session: Session, *bound: BoundSelect[Any]) -> None:
    """Send statements: one alone, several in one round trip."""
    if len(bound) == 1:
        rows_of(session, bound[0])
        return
    with one_round_trip(session) as trip:
        for each in bound:
            trip.send(each)


def test_several_statements_are_answered_each_by_itself(session: Session, make: Make) -> None:
    make.account("alice", "administrator")
    make.account("bob", "reviewer")
    with one_round_trip(session) as trip:
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


@pytest.mark.parametrize("n_statements", [1, 2])
def test_errors_are_those_of_sqlalchemy_and_the_connection_can_be_used_again(
    fresh_database: str, n_statements: int
) -> None:
    engine = make_engine(fresh_database, limits=Limits(pool_size=1))
    with make_reading_sessions(engine)() as session:
        with pytest.raises(DataError, match="division by zero"):
            send(session, *[QUOTIENT.given(by=0)] * n_statements)
        assert rows_of(session, QUOTIENT.given(by=1)) == [Number(6.0)]
        assert session.scalar(text("SELECT 1")) == 1
    engine.dispose()


@pytest.mark.parametrize("n_statements", [1, 2])
def test_a_server_that_goes_away_is_an_outage(fresh_database: str, n_statements: int) -> None:
    engine = make_engine(fresh_database, limits=Limits(pool_size=1))
    sessions = make_reading_sessions(engine)
    with sessions() as session, pytest.raises(OperationalError):
        send(session, *[END.given()] * n_statements)
    with sessions() as session:
        assert rows_of(session, QUOTIENT.given(by=1)) == [Number(6.0)]
    engine.dispose()
