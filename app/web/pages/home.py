"""The first page: the person's unfinished work, subjects and how good their explanations are, and what is running."""

from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from app.domain.roles import Permission
from app.queries.people.accounts import Viewer
from app.queries.review.campaigns import CampaignRow, open_campaigns
from app.queries.runs.counts import ActiveCount
from app.queries.runs.progress import BatchSummary, newest_batch
from app.queries.subjects.overview import Activity, PauseShown, SubjectSummary, current_activity, overview
from app.queries.subjects.unfinished import UnfinishedCollection
from app.queries.work.tasks import ActiveTasks
from app.queries.work.workers import WorkerSeen
from app.web.deps import CurrentViewer, DbSession
from app.web.http.routing import PageRouter
from app.web.http.visits import Visit
from app.web.rendering.templating import CurrentView, page

router = PageRouter()

SHOWN_CAMPAIGNS = 3
NO_REASON = "its language model does not answer."
ROWS_IN_SIGHT = 16
"""Layers whose scores are shown at once; those of a deeper subject are folded under the sum of all."""


@dataclass(frozen=True, slots=True)
class HomeActivity:
    """What is going on."""

    collections: tuple[UnfinishedCollection, ...]
    n_workers: int
    workers: tuple[WorkerSeen, ...]
    """Where each runs; empty for visitors without an account."""
    pauses: tuple[PauseShown, ...]
    queue: ActiveCount
    tasks: ActiveTasks

    @property
    def n_active(self) -> int:
        """Runs and tasks that wait for a worker or have one."""
        return self.queue.queued + self.queue.running + self.tasks.queued + self.tasks.running

    @property
    def is_busy(self) -> bool:
        """Whether something moves on its own, so that the page should look again."""
        alive = any(collection.is_alive for collection in self.collections)
        return bool(alive or self.n_active)


@dataclass(frozen=True, slots=True)
class ToGoOnWith:
    """What this person did last."""

    visits: tuple[Visit, ...]
    """The neurons last opened in this browser, the newest first."""
    batch: BatchSummary | None
    """The newest batch that the person has queued."""
    campaigns: tuple[CampaignRow, ...]
    """The newest open ones that the person may review in."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing yet."""
        return not (self.visits or self.batch or self.campaigns)


@dataclass(frozen=True, slots=True)
class HomePage:
    """The person's unfinished work, subjects, and what is running."""

    go_on: ToGoOnWith
    subjects: tuple[SubjectSummary, ...]
    campaigns: tuple[CampaignRow, ...]
    """The newest that are open."""
    activity: HomeActivity
    rows_in_sight: int = ROWS_IN_SIGHT


@page(router, "/", template="home/page.html", twin="/index.json")
def home(session: DbSession, viewer: CurrentViewer, view: CurrentView) -> HomePage:
    """The person's unfinished work, subjects with their counts, running collections, workers and pauses."""
    campaigns, found = open_campaigns(session, limit=SHOWN_CAMPAIGNS), overview(session)
    return HomePage(
        go_on=_go_on(session, viewer, view.visits, campaigns),
        subjects=found.subjects,
        campaigns=campaigns,
        activity=_activity_for(viewer, found.activity),
    )


@page(router, "/activity", template="home/activity.html", partial="home/_activity.html")
def activity(session: DbSession, viewer: CurrentViewer) -> HomeActivity:
    """Running collections, workers, pauses and the length of the queue."""
    return _activity_for(viewer, current_activity(session))


def _activity_for(viewer: Viewer | None, found: Activity) -> HomeActivity:
    """What this viewer may know of it."""
    is_told = viewer is not None and viewer.may(Permission.READ_OPERATIONS)
    collections, pauses = found.collections, found.pauses
    return HomeActivity(
        # An error may name folders.
        collections=collections if is_told else tuple(replace(c, error=None) for c in collections),
        n_workers=len(found.workers),
        workers=found.workers if is_told else (),
        # A reason quotes a server's reply, which may contain addresses.
        pauses=pauses if is_told else tuple(replace(pause, reason=NO_REASON) for pause in pauses),
        queue=found.queue,
        tasks=found.tasks,
    )


def _go_on(
    session: Session, viewer: Viewer | None, visits: tuple[Visit, ...], campaigns: tuple[CampaignRow, ...]
) -> ToGoOnWith:
    if viewer is None:
        return ToGoOnWith(visits, None, ())
    may_review = viewer.may(Permission.REVIEW)
    own = tuple(c for c in campaigns if may_review and c.lets_take_part(viewer.id) and c.counts.open)
    batch = newest_batch(session, account_id=viewer.id) if viewer.may(Permission.READ_OPERATIONS) else None
    return ToGoOnWith(visits, batch, own)
