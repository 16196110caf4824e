"""The progress of a collection: on the command line, and in the database for pages."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from types import TracebackType
from typing import TypeAlias

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.db import Sessions, transaction
from app.domain.collections import CollectionStage
from app.queries.subjects.collection_state import CollectionProgress, release_collection, report_progress
from app.settings import Settings
from worker.collection.passes import Part

log: structlog.stdlib.BoundLogger = structlog.get_logger()

REPORT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a collection in one of its stages, in the stage's unit.

    A ``total`` of 0 means unknown. ``collection_id`` is None before the collection is stored.
    """

    stage: CollectionStage
    done: int
    total: int
    per_second: float | None = None
    collection_id: int | None = None


Tell: TypeAlias = Callable[[Progress], None]


def tell_nobody(_: Progress) -> None:
    """Ignore progress."""


class Pace:
    """Reports a stage with its speed since the stage began or was set back."""

    def __init__(self, tell: Tell, stage: CollectionStage, *, total: int, collection_id: int) -> None:
        self._tell = tell
        self._progress = Progress(stage, 0, total, collection_id=collection_id)
        self._begun: tuple[float, int] | None = None

    def __call__(self, done: int) -> None:
        """Report that ``done`` of the stage's units are done."""
        now = monotonic()
        if self._begun is None or done < self._begun[1]:
            self._begun = (now, done)
        begun, at = self._begun
        speed = (done - at) / (now - begun) if done > at and now > begun else None
        self._tell(replace(self._progress, done=done, per_second=speed))


class StoredProgress:
    """Stores progress and renews the collection's lease, from a thread of its own while it is open.

    So neither a long step of the model nor an outage of the database blocks the other. The lease of a collection
    without progress for ``stall_seconds`` is not renewed, and pages show it as stopped. Leaving the context ends the
    lease.
    """

    def __init__(
        self, sessions: Sessions, settings: Settings, part: Part, *, clock: Callable[[], float] = monotonic
    ) -> None:
        self._sessions, self._settings, self._part, self._clock = sessions, settings, part, clock
        self._latest: Progress | None = None
        self._of_pass: Progress | None = None
        """The newest progress of the pass, which a short later stage may replace before it is stored."""
        self._moved = self._stored = clock()
        self._is_new = False
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="collection-progress", daemon=True)

    def __call__(self, progress: Progress) -> None:
        """Keep the newest progress; the thread stores it soon."""
        if progress.collection_id is not None:
            with self._lock:
                self._latest, self._moved, self._is_new = progress, self._clock(), True
                if progress.stage is CollectionStage.COLLECT:
                    self._of_pass = progress

    def __enter__(self) -> "StoredProgress":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.release()

    def _run(self) -> None:
        while not self._stop.wait(min(REPORT_SECONDS, self._settings.renew_seconds)):
            self.store()

    def store(self) -> None:
        """Store what is new, and renew the lease when that is due."""
        now = self._clock()
        with self._lock:
            latest, is_new, moved = self._latest, self._is_new, self._moved
            self._is_new = False
        is_due = now - self._stored >= self._settings.renew_seconds and now - moved < self._settings.stall_seconds
        if latest is not None and latest.collection_id is not None and (is_new or is_due):
            self._in_transaction(
                partial(
                    report_progress,
                    collection_id=latest.collection_id,
                    progress=self._columns(latest),
                    lease_seconds=self._settings.lease_seconds,
                )
            )

    def release(self) -> None:
        """End the lease."""
        if self._latest is not None and self._latest.collection_id is not None:
            self._in_transaction(partial(release_collection, collection_id=self._latest.collection_id))

    def _in_transaction(self, action: Callable[[Session], None]) -> None:
        """Run ``action`` in a transaction. A database outage is ignored, since newer progress is stored later."""
        try:
            with transaction(self._sessions) as session:
                action(session)
            self._stored = self._clock()
        except SQLAlchemyError as error:
            log.warning("collection.progress_not_stored", reason=str(error).partition("\n")[0])

    def _columns(self, latest: Progress) -> CollectionProgress:
        of_pass = self._of_pass
        return CollectionProgress(
            stage=latest.stage,
            share=min(1.0, latest.done / latest.total) if latest.total else 0.0,
            part=f"{self._part.number + 1}/{self._part.of}",
            tokens=None if of_pass is None else of_pass.done,
            tokens_per_second=None if of_pass is None else of_pass.per_second,
        )
