"""The first page: subjects, how far they are explained, and what is going on."""

from dataclasses import dataclass

from fastapi import APIRouter

from app.queries.subjects.overview import (
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
from app.web.rendering.templating import page

router = APIRouter()


@dataclass(frozen=True, slots=True)
class HomeActivity:
    """What is going on."""

    collections: tuple[RunningCollection, ...]
    workers: tuple[WorkerSeen, ...]
    pauses: tuple[PauseShown, ...]
    queue: QueueCounts

    @property
    def is_busy(self) -> bool:
        """Whether something moves on its own, so that the page should look again."""
        return bool(self.collections or self.queue.queued or self.queue.running)


@dataclass(frozen=True, slots=True)
class HomePage:
    """Subjects, how far they are explained, and what is going on."""

    subjects: tuple[SubjectSummary, ...]
    activity: HomeActivity


@page(router, "/", template="home/page.html", twin="/index.json")
def home(session: DbSession) -> HomePage:
    """Subjects with their counts, running collections, workers and pauses."""
    return HomePage(subjects=subject_summaries(session), activity=activity(session))


@page(router, "/activity", template="home/activity.html", partial="home/_activity.html")
def activity(session: DbSession) -> HomeActivity:
    """Running collections, workers, pauses and the length of the queue."""
    return HomeActivity(
        collections=running_collections(session),
        workers=workers_seen(session),
        pauses=pauses(session),
        queue=queue_counts(session),
    )
