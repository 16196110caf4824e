"""The version of what pages show rises with every change, by whatever statement, and with nothing else."""

import importlib.util
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.orm import Session

from app.db import Sessions, transaction
from app.models import Account, Base, Collection, ContentChange, Neuron, Run, Subject
from app.models.counts import COUNT_TABLES
from app.models.embeddings import EXPLANATION_EMBEDDINGS
from app.models.versions import NOT_SHOWN, WHILE_AT_WORK
from app.queries.common.counting import compact_counts
from app.queries.common.versions import compact_versions, content_version
from app.queries.embeddings.tables import make_embedding_table
from app.queries.people.logins import create_login_token, log_in
from app.queries.people.viewers import keep_session
from app.settings import Settings
from app.work.begin import Taker, begin_run
from app.work.enqueue import enqueue_batch
from app.work.lease import finish, renew_leases
from tests.factories import Make
from worker.run.upkeep import Upkeep

TRIGGERS = text(
    "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE tgname LIKE 'note\\_%' AND NOT tgisinternal"
)


def test_every_table_is_noted_or_has_a_reason(session: Session) -> None:
    make_embedding_table(session)
    noted: dict[str, set[str]] = {}
    for table, trigger in session.execute(TRIGGERS):
        noted.setdefault(table, set()).add(trigger)
    derived = {table.__tablename__ for table in COUNT_TABLES}
    tables = {*Base.metadata.tables, EXPLANATION_EMBEDDINGS.name}
    assert noted.keys() == tables - NOT_SHOWN.keys() - derived
    assert NOT_SHOWN.keys() <= tables
    assert all(triggers == {"note_insert", "note_update", "note_delete"} for triggers in noted.values())


def test_the_migration_leaves_out_what_the_models_name() -> None:
    (path,) = Path("migrations/versions").glob("*_first_schema.py")
    spec = importlib.util.spec_from_file_location("first_schema", path)
    assert spec is not None
    assert spec.loader is not None
    migration = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(migration)
    assert set(migration.NOT_SHOWN) == NOT_SHOWN.keys()
    assert migration.WHILE_AT_WORK == WHILE_AT_WORK
    for table, columns in WHILE_AT_WORK.items():
        assert set(columns) <= set(Base.metadata.tables[table].columns.keys())


def test_each_statement_that_changes_rows_raises_the_version(session: Session, make: Make) -> None:
    neuron = make.neuron(make.subject())
    for statement in (
        insert(Account).values(name="zoe", role="viewer"),
        update(Account).values(role="reviewer"),
        update(Neuron).values(n_doubts=1),
        delete(Account).where(Account.name == "zoe"),
    ):
        before = content_version(session)
        session.execute(statement)
        assert content_version(session) > before, statement
    assert neuron.id


def test_statements_that_change_no_row_do_not(session: Session, make: Make) -> None:
    make.neuron(make.subject())
    before = content_version(session)
    session.execute(update(Neuron).where(Neuron.id < 0).values(n_doubts=1))
    session.execute(delete(Account).where(Account.id < 0))
    assert content_version(session) == before


def test_leases_and_progress_do_not_but_status_does(session: Session, make: Make) -> None:
    subject = make.subject()
    neuron, method, account = make.neuron(subject), make.method(), make.account()
    enqueue_batch(
        session, subject_id=subject.id, neuron_ids=[neuron.id], method_id=method.id, account_id=account.id, limit=1
    )
    session.flush()
    queued = content_version(session)
    lease = begin_run(session, taker=Taker(uuid4(), uuid4(), 60))
    assert lease is not None
    running = content_version(session)
    assert running > queued
    assert renew_leases(session, leases=[lease], lease_seconds=60)
    session.execute(update(Run).values(progress=0.5, stage="simulate"))
    session.execute(update(Collection).values(tokens_done=5))
    assert content_version(session) == running
    finish(session, lease=lease)
    assert content_version(session) > running


def test_reading_with_a_session_does_not(session: Session, make: Make) -> None:
    account = make.account()
    cookie = log_in(session, login_token=create_login_token(session, account_id=account.id, minutes=5), days=1)
    session.flush()
    before = content_version(session)
    keep_session(session, session_token=cookie)
    assert content_version(session) == before


@pytest.mark.parametrize("first", ["one", "two"])
def test_each_of_two_overlapping_transactions_raises_it(fresh_sessions: Sessions, first: str) -> None:
    """A number that is drawn before the commit would have been seen by a reader between the two commits."""
    with fresh_sessions() as one, fresh_sessions() as two, fresh_sessions() as reader:
        found = [content_version(reader)]
        reader.rollback()
        for session, name in ((one, "zoe"), (two, "yan")):
            session.execute(insert(Account).values(name=name, role="viewer"))
        for session in (one, two) if first == "one" else (two, one):
            session.commit()
            found.append(content_version(reader))
            reader.rollback()
    assert found == sorted(set(found))


def test_adding_up_ended_processes_leaves_it_as_it_is(fresh_sessions: Sessions) -> None:
    with transaction(fresh_sessions) as session:
        session.add_all([ContentChange(process=2_000_000_000 + n, n=n) for n in range(5)])
    with fresh_sessions() as session:
        before = content_version(session)
    for _ in range(2):
        with transaction(fresh_sessions) as session:
            compact_versions(session)
    with fresh_sessions() as session:
        assert content_version(session) == before
        assert session.scalars(select(ContentChange.n).where(ContentChange.process == 0)).one() >= 10
        assert session.scalars(select(ContentChange).where(ContentChange.process > 1_999_999_999)).all() == []


def test_a_worker_without_work_leaves_it_as_it_is(fresh_sessions: Sessions, tmp_path: Path) -> None:
    with transaction(fresh_sessions) as session:
        make = Make(session)
        make.explained(make.neuron(make.subject()))
        session.get_one(Subject, 1)
    upkeep = Upkeep(Settings(data_dir=tmp_path), fresh_sessions)
    with fresh_sessions() as session:
        before = content_version(session)
    upkeep.look()
    upkeep.tidy()
    with transaction(fresh_sessions) as session:
        compact_counts(session)
    with fresh_sessions() as session:
        assert content_version(session) == before
