"""The part of a run or task that pages show of any leased work."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from app.domain.work import WorkStatus
from app.models import Run, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasedRow:
    """The columns common to runs and tasks. ``attempt`` counts failures, ``executions`` counts starts."""

    id: int
    status: WorkStatus
    stage: str
    progress: float
    """Share of its work that is done, 0..1."""
    attempt: int
    deaths: int
    """Number of times that its worker crashed."""
    executions: int
    error: str | None
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


def leased_values(row: Run | Task) -> dict[str, Any]:
    """The fields of a ``LeasedRow`` by name."""
    return {field.name: getattr(row, field.name) for field in fields(LeasedRow)} | {"status": WorkStatus(row.status)}
