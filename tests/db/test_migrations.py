from sqlalchemy import text

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
