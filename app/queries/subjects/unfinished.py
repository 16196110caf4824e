"""Collections that are not complete: running, stopped or failed, as the home page shows them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import exists, func, or_, select

from app.domain.collections import CollectionStage, CollectionStatus
from app.models import Collection, Corpus, DataImport, Subject
from app.queries.common.prepared import PreparedSelect

SHOWN_DAYS = 7
"""Days after which an unfinished collection on which nothing has worked is no longer shown."""
MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class UnfinishedCollection:
    """A collection that is not complete, and newer than the one that its subject shows."""

    subject: str
    slug: str
    corpus: str
    status: CollectionStatus
    is_alive: bool
    """Whether a process is collecting: the status is running and the lease has not expired."""
    stage: CollectionStage
    progress: float
    """Share of the stage that is done, 0..1."""
    tokens_done: int
    tokens_planned: int
    tokens_per_second: float | None
    error: str | None
    left_at: datetime
    """When its lease expires or expired."""

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the pass ends, at the present speed; None if not known."""
        if not self.tokens_per_second or self.stage is not CollectionStage.COLLECT:
            return None
        return max(0, self.tokens_planned - self.tokens_done) / self.tokens_per_second


_IS_RUNNING = Collection.status == CollectionStatus.RUNNING
UNFINISHED = PreparedSelect(
    UnfinishedCollection,
    select(
        Subject.name.label("subject"),
        Subject.slug,
        Corpus.name.label("corpus"),
        Collection.status,
        (_IS_RUNNING & (Collection.lease_until > func.now())).label("is_alive"),
        Collection.stage,
        Collection.progress,
        Collection.tokens_done,
        Collection.tokens_planned,
        Collection.tokens_per_second,
        Collection.error,
        Collection.lease_until.label("left_at"),
    )
    .join(Subject, Subject.id == Collection.subject_id)
    .join(Corpus, Corpus.id == Collection.corpus_id)
    .where(
        Collection.status != CollectionStatus.COMPLETE,
        ~exists().where(DataImport.collection_id == Collection.id),  # imports have a page of their own
        or_(Subject.collection_id.is_(None), Collection.id > Subject.collection_id),
        Collection.lease_until > func.now() - timedelta(days=SHOWN_DAYS),
    )
    .order_by(Collection.id.desc())
    .limit(MOST_SHOWN),
)
"""Unfinished collections newer than the one that their subject shows, newest first."""
