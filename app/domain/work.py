"""Leased work: its statuses, its lanes, and the catalogue of kinds of task.

A run (one neuron through one method) is the frequent kind and has a table of its own; every other kind is a task. The
mechanism that both share is described in ``app.work``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

WORKER_SILENT_SECONDS = 60
"""Seconds without a report after which a worker counts as crashed."""


class WorkStatus(StrEnum):
    """The status of a run or a task. The first two members are active."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """The work failed for a permanent cause: another attempt would fail the same way."""
    CANCELLED = "cancelled"
    NO_EXPLANATION = "no_explanation"
    """The method found nothing worth saying: a result, not a failure. Only runs."""
    QUARANTINED = "quarantined"
    """Too many attempts failed, or too many workers crashed."""

    @property
    def is_active(self) -> bool:
        """Whether a worker holds the work or may still take it."""
        return self in ACTIVE

    @property
    def may_be_retried(self) -> bool:
        """Whether the work ended without a result."""
        return self in ENDED_WITHOUT_RESULT


RUN = "run"
"""The name of runs as a kind, in lists of runs and tasks."""

ACTIVE = (WorkStatus.QUEUED, WorkStatus.RUNNING)
ENDED_WITHOUT_RESULT = (
    WorkStatus.FAILED,
    WorkStatus.CANCELLED,
    WorkStatus.NO_EXPLANATION,
    WorkStatus.QUARANTINED,
)


class Lane(StrEnum):
    """The kind of work that a slot of a worker process takes.

    Each lane has its own slots, so that long work never delays short work.
    """

    RUNS = "runs"
    INTERACTIVE = "interactive"
    """Tasks that a person waits for; they take seconds."""
    BACKGROUND = "background"
    """Tasks that take minutes or hours."""


@dataclass(frozen=True, slots=True)
class TaskKind:
    """What the web program and the worker both need to know of a kind of task."""

    name: str
    label: str
    lane: Lane
    result_page: str | None = None
    """URL of the page that shows the result; ``{id}`` and the names of the task's parameters are filled in."""
    keep_hours: int | None = None
    """Hours after queueing at which a task is deleted; None keeps it."""
    max_attempts: int | None = None
    """Failed attempts before quarantine; None means the setting ``max_attempts``."""
    is_listed: bool = True
    """Whether the page of all tasks lists the kind."""

    def result_address(self, task_id: int, parameters: Mapping[str, object]) -> str | None:
        """The URL of the page that shows the result of one task; None if there is no such page."""
        return None if self.result_page is None else self.result_page.format_map({**parameters, "id": task_id})


TRIAL = TaskKind(
    "trial",
    "A text tried on a neuron",
    Lane.INTERACTIVE,
    result_page="/{slug}/{layer}/{index}/try?trial={id}",
    keep_hours=24,
    max_attempts=1,
    is_listed=False,
)

FIRING = TaskKind(
    "firing",
    "The neurons that fire on a text",
    Lane.INTERACTIVE,
    result_page="/{slug}/firing?trial={id}",
    keep_hours=24,
    max_attempts=1,
    is_listed=False,
)

WARM_UP = TaskKind(
    "warm_up", "A subject loaded for trials", Lane.INTERACTIVE, keep_hours=24, max_attempts=1, is_listed=False
)

CHECK = TaskKind("check", "Explanations checked on the whole corpus", Lane.BACKGROUND, result_page="/{slug}")

INSPECTION = TaskKind(
    "inspection",
    "A model and a text inspected",
    Lane.INTERACTIVE,
    result_page="/subjects/new/{id}",
    keep_hours=168,
    max_attempts=1,
)

COLLECTION = TaskKind("collection", "A subject collected over a corpus", Lane.BACKGROUND, result_page="/{slug}")

CONTROLS = TaskKind(
    "controls", "Controls made for a campaign", Lane.INTERACTIVE, result_page="/campaigns/{campaign_id}"
)

MODEL_REVIEW = TaskKind(
    "model_review", "Reviews by a language model", Lane.BACKGROUND, result_page="/campaigns/{campaign_id}"
)

PROBE = TaskKind(
    "probe", "A language model tried", Lane.INTERACTIVE, result_page="/providers/{provider_id}", max_attempts=1
)

IMPORT = TaskKind("import", "Neurons imported from files", Lane.BACKGROUND, result_page="/{slug}")

EXPORT = TaskKind("export", "A subject exported to files", Lane.BACKGROUND, result_page="/exports/{id}")

EMBEDDING = TaskKind(
    "embedding", "Explanations embedded for search by meaning", Lane.BACKGROUND, result_page="/embeddings"
)

QUERY_EMBEDDING = TaskKind(
    "query_embedding", "A search by meaning", Lane.INTERACTIVE, keep_hours=24, max_attempts=1, is_listed=False
)

KINDS: Mapping[str, TaskKind] = {
    kind.name: kind
    for kind in (
        TRIAL,
        FIRING,
        WARM_UP,
        CHECK,
        INSPECTION,
        COLLECTION,
        CONTROLS,
        MODEL_REVIEW,
        PROBE,
        IMPORT,
        EXPORT,
        EMBEDDING,
        QUERY_EMBEDDING,
    )
}
"""Every kind of task by its name. Its handler is in ``worker.run.handlers``."""
