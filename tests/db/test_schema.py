import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app.db import make_engine
from app.domain.methods import BUILTIN_METHODS
from app.schema import OldSchema, UnknownSchema, downgrade, open_installation, prepare
from app.settings import Settings


def test_a_database_of_ones_own_is_used_as_it_is_when_its_schema_is_the_newest(fresh_database: str) -> None:
    engine = open_installation(Settings(database_url=SecretStr(fresh_database)))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM method")) == 0
    engine.dispose()


def test_a_database_with_an_old_schema_is_refused_and_left_alone(fresh_database: str) -> None:
    engine = make_engine(fresh_database)
    downgrade(engine, revision="base")
    with pytest.raises(OldSchema, match="neuron-audit db migrate"):
        open_installation(Settings(database_url=SecretStr(fresh_database)))
    prepare(engine)
    open_installation(Settings(database_url=SecretStr(fresh_database))).dispose()
    engine.dispose()


def test_a_database_of_another_version_is_refused(fresh_database: str) -> None:
    engine = make_engine(fresh_database)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'of the future'"))
    with pytest.raises(UnknownSchema):
        open_installation(Settings(database_url=SecretStr(fresh_database)))
    engine.dispose()


def test_to_prepare_stores_every_built_in_method_once(fresh_database: str) -> None:
    engine = make_engine(fresh_database)
    prepare(engine)
    prepare(engine)
    with engine.connect() as connection:
        stored = connection.scalars(text("SELECT name FROM method")).all()
    assert sorted(stored) == sorted(method.name for method in BUILTIN_METHODS)
    engine.dispose()


def test_programs_that_start_at_once_on_an_empty_folder_prepare_it_together(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "DATABASE_URL"} | {
        "NEURON_AUDIT_DATA_DIR": str(tmp_path)
    }
    programs = [
        subprocess.Popen(
            [sys.executable, "-m", "app.cli", "user", "add", name, "--role", "administrator"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("alice", "bob", "carol")
    ]
    told = [program.communicate(timeout=120) for program in programs]
    assert [program.returncode for program in programs] == [0, 0, 0], told
    assert all("/login?token=" in out for out, _ in told)
