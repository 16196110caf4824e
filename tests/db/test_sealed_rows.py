"""``history verify`` compares each row of a table that only grows with what was inserted."""

from pathlib import Path

import numpy as np
import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from app.cli.main import cli
from app.db import make_sessions, transaction
from app.domain.activations import SampleKind, Split
from app.domain.audit.statements import Statement
from app.domain.authors import AuthorKind
from app.domain.executed import LevelCounts, Mistake, NeuronTotals, execution
from app.domain.history import verify
from app.domain.results import ExplanationResult, ScoreResult, SimulatedExcerpt, SimulationResult
from app.formats import records
from app.models import Explanation, Neuron, RowSeal, Score, Simulation, Subject
from app.queries.audit.statements import save_statements
from app.queries.checks.store import CheckResult, KeptMistakes, collection_to_check, store_checks
from app.queries.common.bulk import copy_into
from app.queries.explanations.store import Author, store_explanation
from app.queries.history.chain import chain_links, unlinked
from app.queries.history.sealed import SEALED, WORDS, changed_rows
from app.queries.imports.judgements import store_judgements
from tests.db.auditing import audited
from tests.db.test_history import tamper
from tests.factories import Make

TABLES = sorted(model.__tablename__ for model in SEALED)
SCRIPT = next(iter(ScriptDirectory(str(Path(__file__).parents[2] / "migrations")).walk_revisions())).module


@pytest.fixture
def written(fresh_engine: Engine) -> Engine:
    """Rows in every table that only grows, each stored as production stores it; committed."""
    with transaction(make_sessions(fresh_engine)) as session:
        make = Make(session)
        audit = audited(make, ended=True)
        stated = {Statement.PAYER: "Nobody"}
        save_statements(session, campaign_id=audit.campaign_id, account_id=audit.alice.account_id, statements=stated)
        simulate_and_check(make, audit.subject)
        explanation_id = session.scalars(select(Explanation.id).order_by(Explanation.id).limit(1)).one()
        flag = records.Flag("wrong", "no", "zoë", "2026-01-02T03:04:05+00:00")
        store_judgements(session, found={explanation_id: records.Explanation("cats", flags=[flag])})
    return fresh_engine


def simulated_explanation(make: Make, subject: Subject) -> int:
    """An explanation with two simulations and three scores; its id."""
    neuron_id = make.session.scalars(select(Neuron.id).where(Neuron.subject_id == subject.id).limit(1)).one()
    excerpt = make.excerpt(subject, [1, 4, 2])
    expected = np.array([0, 10, 0.1], dtype=np.float32)
    simulated = (SimulatedExcerpt(excerpt.id, 3, expected), SimulatedExcerpt(excerpt.id, 3, None, "cut off"))
    kinds = (SampleKind.TOP, SampleKind.RANDOM)
    simulations = tuple(SimulationResult("lexical", kind, Split.VALIDATION, simulated, 0.1) for kind in kinds)
    scores = (
        ScoreResult("correlation", "top", 0.1, 1, 1),
        ScoreResult("correlation", "random", None, 0, 2, undefined_reason="nothing to score"),
        ScoreResult("correlation", "top_and_random", 0.3, 2, 0, interval=(0.0, 0.6)),
    )
    result = ExplanationResult("ships", simulations, scores)
    by = Author(AuthorKind.PERSON, "alice")
    return store_explanation(make.session, neuron_id=neuron_id, result=result, author=by)


def simulate_and_check(make: Make, subject: Subject) -> None:
    """An explanation with simulations, scores, a check and its mistakes."""
    explanation_id, excerpt = simulated_explanation(make, subject), make.excerpt(subject, [1, 4, 2])
    expected = np.array([0, 10, 0.1], dtype=np.float32)
    level = np.zeros(11)
    level[5] = 1
    done = execution(NeuronTotals(9, 0.1, 0.2, 2), LevelCounts(level.astype(np.int64), level.astype(np.int64), level))
    kept = KeptMistakes(1, [(4, 1)], [excerpt.id], [expected], [expected])
    store_checks(
        make.session,
        checked=collection_to_check(make.session, slug=subject.slug),
        results=[CheckResult(explanation_id, "ships", done, {Mistake.MISS: kept})],
        unreadable=[],
        code_version="test",
    )


def test_what_an_explanation_has_of_a_kind_is_sealed_at_once(session: Session, make: Make) -> None:
    """Each seal is a link of the chain, which every worker waits for."""
    subject = make.subject("tiny")
    make.neuron(subject)
    tables = select(RowSeal.table_name).order_by(RowSeal.id)
    before = len(session.scalars(tables).all())
    explanation_id = simulated_explanation(make, subject)
    assert session.scalars(tables).all()[before:] == ["explanation", "simulation", "score"]
    stored = session.execute(select(Score.sample, Score.value).where(Score.explanation_id == explanation_id))
    assert {tuple(row) for row in stored} == {("top", 0.1), ("random", None), ("top_and_random", 0.3)}
    kinds = session.scalars(select(Simulation.kind).where(Simulation.explanation_id == explanation_id))
    assert set(kinds) == {"top", "random"}


def found(engine: Engine) -> list[tuple[str, str]]:
    with make_sessions(engine)() as session:
        assert verify(chain_links(session)).faults == ()  # the chain alone does not see it
        assert unlinked(session) == []
        return [(each.subject.rpartition(" ")[0], each.what) for each in changed_rows(session)]


def test_every_table_that_only_grows_refuses_changes_and_is_sealed_or_a_part_of_the_chain(fresh_engine: Engine) -> None:
    assert sorted(SCRIPT.SEALED) == TABLES
    assert sorted(SCRIPT.APPEND_ONLY) == sorted([*TABLES, "event", "event_link", "row_seal"])
    for table in SCRIPT.APPEND_ONLY:
        with fresh_engine.connect() as connection:
            triggers = text("SELECT tgname FROM pg_trigger WHERE tgrelid = CAST(:table AS regclass)")
            names = set(connection.scalars(triggers, {"table": table}))
        assert {"refuse_change", "refuse_truncate"} <= names
        assert ("seal_rows" in names) == (table in TABLES)


@pytest.mark.parametrize("settings", ["", "SET timezone = 'Asia/Tokyo'; SET extra_float_digits = 0"])
def test_what_nobody_has_touched_is_what_was_inserted(written: Engine, settings: str) -> None:
    """Whatever the settings are of the session that looks."""
    with make_sessions(written)() as session:
        for statement in filter(None, settings.split("; ")):
            session.execute(text(statement))
        for table in TABLES:
            assert session.scalar(text(f"SELECT count(*) FROM {table}")), table
        assert changed_rows(session) == ()


def of_first(table: str) -> str:
    keys = ", ".join(SCRIPT.SEALED[table])
    return f"WHERE ({keys}) = (SELECT {keys} FROM {table} ORDER BY {keys} LIMIT 1)"


EDITS = {
    "audit_statement": "statements = '{}'",
    "campaign_draw": "seed = seed + 1",
    "campaign_version": "question = question || '?'",
    "check_mistake": "activations = set_byte(activations, 0, 255)",
    "corpus_check": "n_tokens = n_tokens + 1",
    "explanation": "text = text || '.'",
    "imported_judgement": "content = '{}'",
    "review_control": "truth = 'cannot_tell'",
    "score": "value = value + 1e-15",
    "simulation": "expected = set_byte(expected, 3, 255)",
    "verdict": "seconds = coalesce(seconds, 0) + 1",
}


@pytest.mark.parametrize("table", TABLES)
def test_one_edited_one_removed_and_one_added_row_of_each_table_are_found(written: Engine, table: str) -> None:
    words = table.replace("_", " ")
    tamper(written, f"UPDATE {table} SET {EDITS[table]} {of_first(table)}")
    assert found(written) == [(words, WORDS["edited"])]
    copied = f"CREATE TEMPORARY TABLE kept ON COMMIT DROP AS SELECT * FROM {table} {of_first(table)}"
    with written.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text(copied))
        connection.execute(text(f"DELETE FROM {table} {of_first(table)}"))
        columns = ", ".join(
            connection.scalars(
                text(
                    "SELECT attname FROM pg_attribute WHERE attrelid = CAST(:table AS regclass) AND attnum > 0"
                    " AND attgenerated = '' AND NOT attisdropped"
                ),
                {"table": table},
            )
        )
        key = SCRIPT.SEALED[table][0]
        connection.execute(text(f"UPDATE kept SET {key} = {key} + 100000"))
        connection.execute(text(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM kept"))
    assert found(written) == [(words, WORDS["removed"]), (words, WORDS["added"])]


def test_rows_that_came_by_copy_are_sealed_in_one_piece(session: Session, make: Make) -> None:
    neuron = make.neuron(make.subject())
    columns = {"neuron_id": "int8", "text": "text", "author_kind": "text", "author": "text"}
    copy_into(session, "explanation", columns, ((neuron.id, f"text {i}", "import", "x") for i in range(50)))
    (n_keys,) = session.scalars(text("SELECT cardinality(keys) FROM row_seal WHERE table_name = 'explanation'"))
    assert n_keys == 50
    assert changed_rows(session) == ()


def test_what_is_rolled_back_leaves_no_seal(fresh_engine: Engine) -> None:
    with make_sessions(fresh_engine)() as session:
        make = Make(session)
        make.explanation(make.neuron(make.subject()))
        session.rollback()
        assert changed_rows(session) == ()
        assert len(list(chain_links(session))) == 1


def test_the_command_names_the_row_and_fails(
    written: Engine, fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", fresh_database)
    assert CliRunner().invoke(cli, ["history", "verify"]).exit_code == 0
    tamper(written, f"UPDATE simulation SET unit = unit * 2 {of_first('simulation')}")
    told = CliRunner().invoke(cli, ["history", "verify"])
    assert told.exit_code == 1
    assert f"simulation 1: {WORDS['edited']}" in told.output
    assert "1 fault\n" in told.output
