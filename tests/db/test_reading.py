"""Sessions that only read, over connections that other sessions share."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from app.db import Limits, make_engine, make_reading_sessions, make_sessions, transaction
from app.models import Account
from app.queries.neurons.filters import NeuronFilter
from app.queries.neurons.listing import NeuronsQuery, neurons_page
from tests.factories import Make


@pytest.fixture
def engine(fresh_database: str) -> Iterator[Engine]:
    engine = make_engine(fresh_database, limits=Limits(pool_size=1))
    yield engine
    engine.dispose()


@pytest.fixture
def reading(engine: Engine) -> Iterator[Session]:
    with make_reading_sessions(engine)() as session:
        yield session


def test_a_session_that_reads_begins_no_transaction(reading: Session) -> None:
    began = reading.scalars(select(text("now()"))).one()
    assert reading.scalars(select(text("now()"))).one() > began  # in a transaction, time stands still


def test_a_connection_that_was_read_from_holds_transactions_again(engine: Engine) -> None:
    with make_reading_sessions(engine)() as session:
        used = session.scalars(select(text("pg_backend_pid()"))).one()

    with make_sessions(engine)() as session:
        assert session.scalars(select(text("pg_backend_pid()"))).one() == used
        session.add(Account(name="dora", role="viewer"))
        session.flush()
        session.rollback()

    with make_reading_sessions(engine)() as session:
        assert session.scalars(select(Account.name)).all() == []


def test_searches_are_planned_for_their_words_in_a_session_that_reads(engine: Engine, reading: Session) -> None:
    with transaction(make_sessions(engine)) as session:
        make = Make(session)
        subject = make.subject()
        make.explanation(make.neuron(subject), 'fires on " import"')
    query = NeuronsQuery(subject.id, NeuronFilter(words="import"))

    for _ in range(20):  # the driver prepares after five, the server plans once for all after five more
        neurons_page(reading, query=query, size=5)

    plans = reading.execute(
        text("SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE '%websearch%'")
    ).all()
    assert plans
    assert all(generic == 0 and custom > 5 for generic, custom in plans)
    assert reading.scalars(text("SELECT current_setting('plan_cache_mode')")).one() == "auto"
