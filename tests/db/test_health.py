import socket
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from app.db import Sessions, transaction
from app.domain.work import WORKER_SILENT_SECONDS
from app.health import web_is_alive, worker_is_alive
from app.models import Worker
from app.queries.runs.progress import worker_count
from app.settings import Settings

HERE = socket.gethostname()


@pytest.mark.parametrize(
    ("host", "seen_ago", "alive"),
    [
        (HERE, timedelta(0), True),
        (HERE, timedelta(seconds=0.75 * WORKER_SILENT_SECONDS), True),
        (HERE, timedelta(minutes=5), False),
        ("elsewhere", timedelta(0), False),
    ],
)
def test_a_worker_is_alive_while_it_reports_itself_on_this_machine(
    fresh_database: str, fresh_sessions: Sessions, host: str, seen_ago: timedelta, alive: bool
) -> None:
    with transaction(fresh_sessions) as session:
        session.add(Worker(id=uuid.uuid4(), host=host, pid=1, device="cpu", seen_at=datetime.now(UTC) - seen_ago))
        session.flush()
        if host == HERE:  # pages say the same
            assert worker_count(session).alive == alive
    assert worker_is_alive(Settings(database_url=SecretStr(fresh_database))) is alive


def test_a_web_server_that_nobody_started_is_not_alive() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert not web_is_alive(Settings(port=free.getsockname()[1]))


def test_an_unreachable_database_is_no_crash() -> None:
    assert not worker_is_alive(Settings(database_url=SecretStr("postgresql://127.0.0.1:1/none")))
