from threading import Event

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from app.redaction import keep_secret
from worker.run.outages import LONGEST_REASON, ignoring_outages, is_outage, reason, through_outages


def away(cause: psycopg.Error | None = None) -> OperationalError:
    return OperationalError("SELECT 1", {}, cause or psycopg.OperationalError("connection refused"))


class Flaky:
    """Fails a given number of times, then succeeds; the caller's waits take no time."""

    def __init__(self, errors: list[DBAPIError]) -> None:
        self.errors = errors

    def __call__(self) -> str:
        if self.errors:
            raise self.errors.pop()
        return "done"


class Impatient(Event):
    """Never set, and never waited for."""

    def wait(self, timeout: float | None = None) -> bool:
        return False


def test_an_action_is_repeated_until_the_database_is_back() -> None:
    assert through_outages(Flaky([away(), away()]), stop=Impatient()) == "done"


def test_a_stop_does_not_wait_for_the_database() -> None:
    stop = Event()
    stop.set()
    with pytest.raises(OperationalError):
        through_outages(Flaky([away()]), stop=stop)


def test_an_error_of_the_statement_itself_is_not_repeated() -> None:
    wrong = ProgrammingError("SELEC 1", {}, psycopg.errors.SyntaxError("syntax error"))
    with pytest.raises(ProgrammingError):
        through_outages(Flaky([wrong]), stop=Impatient())


@pytest.mark.parametrize(
    ("cause", "passes"),
    [
        (psycopg.OperationalError("server closed the connection"), True),
        (psycopg.errors.AdminShutdown("terminating connection"), True),
        (psycopg.errors.CannotConnectNow("the database system is starting up"), True),
        (psycopg.errors.DeadlockDetected("deadlock detected"), True),
        (psycopg.errors.DiskFull("no space left on device"), True),
        (psycopg.errors.ProgramLimitExceeded("index row too large"), False),
    ],
)
def test_only_what_passes_is_an_outage(cause: psycopg.Error, passes: bool) -> None:
    assert is_outage(away(cause)) is passes


def test_what_is_tried_again_later_survives_an_outage() -> None:
    with ignoring_outages("missed"):
        raise away()


def test_a_reason_can_be_stored_and_shown() -> None:
    assert reason(ValueError("a \x00 b \ud800")) == "a \u2400 b \ufffd"
    keep_secret("sk-in-an-error")
    assert reason(KeyError("sk-in-an-error")) == "'[key]'"
    assert reason(ValueError()) == "ValueError"
    assert reason(away()) == "connection refused"
    assert len(reason(ValueError("x" * 9_999))) == LONGEST_REASON
