"""What the pages share that wait for a worker: when they poll, and when they stop."""

from typing import Literal, TypeAlias

from app.domain.work import WorkStatus

QUICK_SECONDS = 10.0
"""While it is shorter, the page polls several times a second; then the worker is loading, or busy."""
PATIENCE_SECONDS = 180.0
"""After so long without an answer the page stops asking."""

TrialState: TypeAlias = Literal["none", "waiting", "done", "failed", "unanswered"]


def state_of(status: WorkStatus, *, has_result: bool, age_seconds: float) -> TrialState:
    """What became of a text that was sent ``age_seconds`` ago."""
    if has_result:
        return "done"
    if status.may_be_retried:
        return "failed"
    return "waiting" if age_seconds < PATIENCE_SECONDS else "unanswered"
