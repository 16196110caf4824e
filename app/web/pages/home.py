"""The first page: subjects, how far they are explained, and what is going on."""

from dataclasses import dataclass

from fastapi import APIRouter

from app.queries.home import (
    PauseShown,
    QueueCounts,
    RunningCollection,
    SubjectSummary,
    WorkerSeen,
    pauses,
    queue_counts,
    running_collections,
    subject_summaries,
    workers_seen,
)
from app.web.deps import DbSession
from app.web.templating import page

router = APIRouter()


@dataclass(frozen=True, slots=True)
class HomePage:
    subjects: tuple[SubjectSummary, ...]
    collections: tuple[RunningCollection, ...]
    workers: tuple[WorkerSeen, ...]
    pauses: tuple[PauseShown, ...]
    queue: QueueCounts

    @property
    def is_busy(self) -> bool:
        """Whether something moves on its own, so that the page should look again."""
        return bool(self.collections or self.queue.queued or self.queue.running)


@page(router, "/", template="home/page.html", partial="home/_activity.html", twin="/index.json")
def home(session: DbSession) -> HomePage:
    """Subjects with their counts, running collections, workers and pauses."""
    return HomePage(
        subjects=subject_summaries(session),
        collections=running_collections(session),
        workers=workers_seen(session),
        pauses=pauses(session),
        queue=queue_counts(session),
    )
