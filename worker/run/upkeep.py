"""Periodic work that one worker does for all, when the engine gives it a turn."""

import time

import structlog
from sqlalchemy.orm import Session

from app.db import Sessions, transaction
from app.queries.common.counting import compact_counts
from app.queries.embeddings.source import embedding_source
from app.queries.embeddings.store import delete_old_queries
from app.queries.people.news import end_batches
from app.queries.subjects.null_twins import rank_against_null_twins
from app.queries.work.workers import delete_old_workers
from app.settings import Settings
from app.transfer.folders import delete_old_uploads
from app.work.embeddings import enqueue_new_explanations
from app.work.lease import reap_expired
from app.work.tasks import delete_old_tasks
from worker.run.outages import ignoring_outages

log: structlog.stdlib.BoundLogger = structlog.get_logger()

RANK_SECONDS = 60.0
EMBED_SECONDS = 60.0


class Upkeep:
    """Maintains the tables of leased work. An action that meets an outage is repeated at the next turn."""

    def __init__(self, settings: Settings, sessions: Sessions) -> None:
        self._settings, self._sessions = settings, sessions
        self._next_ranking = self._next_embedding = 0.0

    def look(self) -> None:
        """Reclaim expired leases, compact counts, note ended batches; sometimes rank twins and queue embeddings."""
        for action in (self._reap, compact_counts, end_batches, self._rank, self._embed):
            with ignoring_outages("worker.upkeep_missed"), transaction(self._sessions) as session:
                action(session)

    def tidy(self) -> None:
        """Delete rows and files that have expired."""
        with ignoring_outages("worker.upkeep_missed"), transaction(self._sessions) as session:
            delete_old_workers(session, hours=self._settings.keep_workers_hours)
            delete_old_tasks(session)
            delete_old_queries(session)
        delete_old_uploads(self._settings)

    def _rank(self, session: Session) -> None:
        """Rank against null twins. Not at each look, since it reads every neuron of a pair of subjects."""
        if time.monotonic() >= self._next_ranking:
            self._next_ranking = time.monotonic() + RANK_SECONDS
            rank_against_null_twins(session)

    def _embed(self, session: Session) -> None:
        """Queue new explanations for embedding, several at a time rather than each when its run ends."""
        source = embedding_source(self._settings)
        if source is not None and time.monotonic() >= self._next_embedding:
            self._next_embedding = time.monotonic() + EMBED_SECONDS
            enqueue_new_explanations(session, source=source)

    def _reap(self, session: Session) -> None:
        reaped = reap_expired(
            session,
            lease_seconds=self._settings.lease_seconds,
            max_deaths=self._settings.max_deaths,
            retry_seconds=self._settings.retry_seconds,
        )
        if reaped.n_requeued or reaped.n_quarantined:
            log.warning("work.reaped", n_requeued=reaped.n_requeued, n_quarantined=reaped.n_quarantined)
