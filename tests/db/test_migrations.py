import hashlib
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from procrastinate.schema import SchemaManager
from sqlalchemy import text
from typer.testing import CliRunner

from app.cli.main import cli
from app.db import make_engine
from app.schema import check_schema, downgrade, migrate

SCHEMA = ("20261127c", "ad99e92b9306f156f17b3e9f3bcd6a51ed773f1fd7467f084bdf6745d98c45a4")
"""The revision and the SHA-256 of its file."""


def test_migrations_go_up_down_and_up_and_match_the_models(fresh_database: str) -> None:
    engine = make_engine(fresh_database)
    downgrade(engine, revision="base")
    with engine.connect() as connection:
        left = connection.scalars(text("SELECT relname FROM pg_class WHERE relname LIKE 'procrastinate%'")).all()
    assert left == []
    migrate(engine)
    check_schema(engine)
    engine.dispose()


def test_another_schema_is_a_revision_of_another_name() -> None:
    """A program that meets a database of a revision of this name takes the tables to be those that it knows.

    Where a table, a function or an index changes, the revision gets a new name; where only words do, a new digest.
    """
    (script,) = ScriptDirectory("migrations").walk_revisions()
    digest = hashlib.sha256(Path(script.path).read_bytes()).hexdigest()
    assert (script.revision, digest) == SCHEMA


@pytest.mark.parametrize(("words", "is_kept"), [([], True), (["--yes"], False)])
def test_the_command_that_drops_everything_asks_first(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch, words: list[str], is_kept: bool
) -> None:
    monkeypatch.setenv("DATABASE_URL", fresh_database)
    CliRunner().invoke(cli, ["db", "downgrade", "base", *words], input="n\n")
    engine = make_engine(fresh_database)
    with engine.connect() as connection:
        assert (connection.scalar(text("SELECT to_regclass('neuron')")) is not None) is is_kept
    engine.dispose()


def test_the_schema_of_another_version_of_the_queue_is_refused(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(fresh_database)
    downgrade(engine, revision="base")
    schema = SchemaManager.get_schema()
    monkeypatch.setattr(SchemaManager, "get_schema", staticmethod(lambda: f"{schema}\n-- one line more"))
    with pytest.raises(RuntimeError, match="another schema"):
        migrate(engine)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT to_regclass('procrastinate_jobs')")) is None
    engine.dispose()


def test_the_version_of_the_queue_is_the_one_that_the_migrations_install() -> None:
    root = Path(__file__).resolve().parent.parent.parent
    (script,) = ScriptDirectory(str(root / "migrations")).walk_revisions()
    pinned = script.module.QUEUE_VERSION
    dependencies = tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]
    assert f"procrastinate=={pinned}" in dependencies
    assert f"procrastinate=={pinned}" in (root / "constraints.txt").read_text().splitlines()
    assert version("procrastinate") == pinned
