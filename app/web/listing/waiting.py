"""Polling of pages that wait for a worker: when it begins and ends."""

from typing import Literal, TypeAlias

from app.domain.work import WorkStatus

QUICK_SECONDS = 10.0
"""Seconds during which the page polls several times a second; after that, the worker is loading or busy."""
PATIENCE_SECONDS = 180.0
"""Seconds without an answer after which the page stops polling."""

TrialState: TypeAlias = Literal["none", "waiting", "done", "failed", "unanswered"]


def state_of(status: WorkStatus, *, has_result: bool, age_seconds: float) -> TrialState:
    """The state of a text that was sent ``age_seconds`` ago."""
    if has_result:
        return "done"
    if status.may_be_retried:
        return "failed"
    return "waiting" if age_seconds < PATIENCE_SECONDS else "unanswered"
