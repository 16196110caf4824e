"""A worker that is killed while it embeds: the next one sends what is missing, and nothing that is stored twice."""

from collections import Counter
from pathlib import Path

from sqlalchemy import select

from app.db import make_engine, make_sessions, transaction
from app.models import Task
from tests.llm_server import LlmServer
from tests.reliability.fleet import WorkerProcess, wait_until
from tests.worker.embedding_site import EmbeddingSite

N_TEXTS = 400
REAL_WORKER = ("-m", "app.cli", "worker")


def test_what_a_killed_worker_has_stored_is_not_embedded_again(fresh_database: str, tmp_path: Path) -> None:
    engine = make_engine(fresh_database)
    sessions = make_sessions(engine)
    with LlmServer(latency=0.2) as server:
        site = EmbeddingSite(sessions, tmp_path, *(f"fires on the number {n}" for n in range(N_TEXTS)))
        site.use_endpoint(server.url)
        task_id = site.queue()
        settings = {"EMBEDDING_PROVIDER": "house", "DATA_DIR": str(tmp_path), "STALL_SECONDS": "60"}

        def has_ended() -> bool:
            with transaction(sessions) as session:
                return session.scalars(select(Task.status).where(Task.id == task_id)).one() not in ("queued", "running")

        n_before = 0
        for number in range(2):
            worker = WorkerProcess(fresh_database, tmp_path / f"killed-{number}.log", settings, REAL_WORKER)
            assert server.wait_for(requests=n_before + 2, seconds=120.0), (
                tmp_path / f"killed-{number}.log"
            ).read_text()
            worker.kill()
            n_before = server.n_requests
        worker = WorkerProcess(fresh_database, tmp_path / "last.log", settings, REAL_WORKER)
        wait_until(has_ended, lambda: None)
        worker.kill()
        sent = Counter(text for body in server.requests for text in body["input"])
    stored = site.stored()
    engine.dispose()
    assert sorted(explanation for _, explanation in stored) == site.explanations
    assert len({model for model, _ in stored}) == 1
    # Each death loses at most the batch that was under way.
    assert sum(n - 1 for n in sent.values()) <= 2 * 64
