import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from app.cli.main import cli
from app.db import make_engine
from app.schema import check_schema, downgrade, migrate


def test_migrations_go_up_down_and_up_and_match_the_models(fresh_database: str) -> None:
    engine = make_engine(fresh_database)
    downgrade(engine, revision="base")
    with engine.connect() as connection:
        left = connection.scalars(text("SELECT relname FROM pg_class WHERE relname LIKE 'procrastinate%'")).all()
    assert left == []
    migrate(engine)
    check_schema(engine)
    engine.dispose()


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
