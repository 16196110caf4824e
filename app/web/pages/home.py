"""The first page: subjects, how far they are explained, and what is going on."""

from dataclasses import dataclass, replace

from fastapi import APIRouter

from app.domain.roles import Permission
from app.queries.review.campaigns import CampaignRow, open_campaigns
from app.queries.subjects.overview import (
    PauseShown,
    QueueCounts,
    SubjectSummary,
    WorkerSeen,
    pauses,
    queue_counts,
    subject_summaries,
    workers_seen,
)
from app.queries.subjects.unfinished import UnfinishedCollection, unfinished_collections
from app.web.deps import CurrentViewer, DbSession
from app.web.rendering.templating import page

router = APIRouter()

SHOWN_CAMPAIGNS = 3
NO_REASON = "its language model does not answer."


@dataclass(frozen=True, slots=True)
class HomeActivity:
    """What is going on."""

    collections: tuple[UnfinishedCollection, ...]
    n_workers: int
    workers: tuple[WorkerSeen, ...]
    """Where each runs; empty for visitors without an account."""
    pauses: tuple[PauseShown, ...]
    queue: QueueCounts

    @property
    def is_busy(self) -> bool:
        """Whether something moves on its own, so that the page should look again."""
        alive = any(collection.is_alive for collection in self.collections)
        return bool(alive or self.queue.queued or self.queue.running)


@dataclass(frozen=True, slots=True)
class HomePage:
    """Subjects, how far they are explained, and what is going on."""

    subjects: tuple[SubjectSummary, ...]
    campaigns: tuple[CampaignRow, ...]
    """The newest that are open."""
    activity: HomeActivity


@page(router, "/", template="home/page.html", twin="/index.json")
def home(session: DbSession, viewer: CurrentViewer) -> HomePage:
    """Subjects with their counts, running collections, workers and pauses."""
    return HomePage(
        subjects=subject_summaries(session),
        campaigns=open_campaigns(session, limit=SHOWN_CAMPAIGNS),
        activity=activity(session, viewer),
    )


@page(router, "/activity", template="home/activity.html", partial="home/_activity.html")
def activity(session: DbSession, viewer: CurrentViewer) -> HomeActivity:
    """Running collections, workers, pauses and the length of the queue."""
    is_told = viewer is not None and viewer.may(Permission.READ_OPERATIONS)
    workers, paused, collections = workers_seen(session), pauses(session), unfinished_collections(session)
    return HomeActivity(
        # An error may name folders.
        collections=collections if is_told else tuple(replace(c, error=None) for c in collections),
        n_workers=len(workers),
        workers=tuple(workers) if is_told else (),
        # A reason quotes a server's reply, which may contain addresses.
        pauses=tuple(paused if is_told else (replace(pause, reason=NO_REASON) for pause in paused)),
        queue=queue_counts(session),
    )
