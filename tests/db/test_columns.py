import pytest
from sqlalchemy import Integer, bindparam, func, select, text
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.orm import Session

from app.db import Limits, make_engine, make_reading_sessions
from app.models import Account
from app.queries.common.prepared import Columns, rows_of
from tests.factories import Make

NAMES = Columns(select(Account.name, Account.role).where(Account.name == bindparam("name")).limit(1))
QUOTIENT = Columns(select(6 / bindparam("by", type_=Integer)))
END = Columns(select(func.pg_terminate_backend(func.pg_backend_pid())))


def test_several_questions_are_answered_in_their_order(session: Session, make: Make) -> None:
    make.account("alice", "admin")
    make.account("bob", "reviewer")
    answers = rows_of(session, NAMES.given(name="bob"), NAMES.given(name="nobody"), NAMES.given(name="alice"))
    assert answers == [[("bob", "reviewer")], [], [("alice", "admin")]]


def test_what_the_transaction_has_added_is_among_the_rows(session: Session) -> None:
    session.add(Account(name="dora", role="reader"))
    assert rows_of(session, NAMES.given(name="dora")) == [[("dora", "reader")]]


@pytest.mark.parametrize("n_questions", [1, 2])
def test_errors_are_those_of_sqlalchemy_and_the_connection_can_be_used_again(
    fresh_database: str, n_questions: int
) -> None:
    engine = make_engine(fresh_database, limits=Limits(pool_size=1))
    with make_reading_sessions(engine)() as session:
        with pytest.raises(DataError, match="division by zero"):
            rows_of(session, *[QUOTIENT.given(by=0)] * n_questions)
        assert rows_of(session, QUOTIENT.given(by=1)) == [[(6.0,)]]
        assert session.scalar(text("SELECT 1")) == 1
    engine.dispose()


@pytest.mark.parametrize("n_questions", [1, 2])
def test_a_server_that_goes_away_is_an_outage(fresh_database: str, n_questions: int) -> None:
    engine = make_engine(fresh_database, limits=Limits(pool_size=1))
    sessions = make_reading_sessions(engine)
    with sessions() as session, pytest.raises(OperationalError):
        rows_of(session, *[END.given()] * n_questions)
    with sessions() as session:
        assert rows_of(session, QUOTIENT.given(by=1)) == [[(6.0,)]]
    engine.dispose()
