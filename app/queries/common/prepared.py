"""Rows of columns, for what is asked most often: a neuron's page, and the steps of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import psycopg
from sqlalchemy import Select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.queries.common.bulk import driver_connection

Rows: TypeAlias = Sequence[Sequence[Any]]

_DIALECT = make_url("postgresql+psycopg://").get_dialect()()


@dataclass(frozen=True, slots=True)
class Question:
    """A statement as the driver takes it, with its parameters."""

    text: str
    parameters: Mapping[str, object]


class Columns:
    """A statement that selects columns of plain types, compiled once."""

    def __init__(self, statement: Select[*tuple[Any, ...]]) -> None:
        compiled = statement.compile(dialect=_DIALECT)
        self._text = str(compiled)
        self._constants = compiled.params

    def given(self, **parameters: object) -> Question:
        """The statement with its parameters."""
        return Question(self._text, {**self._constants, **parameters})


def rows_of(session: Session, *questions: Question) -> list[Rows]:
    """The rows of each question, all of them in one round trip to the database, in binary.

    They go past the ORM and SQLAlchemy's execution, whose preparations take half of a short query's time; what is
    raised is what those raise.
    """
    session.flush()  # as ``session.execute`` does: what this transaction has added is among the rows
    connection = driver_connection(session)
    try:
        if len(questions) == 1:
            return [ask(connection, questions[0]).fetchall()]
        with connection.pipeline():
            cursors = [ask(connection, question) for question in questions]
        return [cursor.fetchall() for cursor in cursors]
    except psycopg.Error as error:
        if connection.closed:  # the pool must not get it back as if it were whole
            session.connection().invalidate(error)
        asked = "; ".join(question.text for question in questions)
        raise DBAPIError.instance(
            asked, None, error, psycopg.Error, connection_invalidated=connection.closed
        ) from error


def ask(connection: psycopg.Connection[Any], question: Question) -> psycopg.Cursor[Any]:
    """Send one question; in a pipeline the rows come later."""
    return connection.execute(question.text, question.parameters, binary=True)
