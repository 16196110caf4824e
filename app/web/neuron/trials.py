"""What the pages that try texts share: when they stop asking, and what a text may be."""

from typing import Literal, TypeAlias

from app.domain.bounds import LONGEST_TRIAL
from app.domain.work import WorkStatus
from app.errors import Invalid
from app.queries.common.inputs import plain_text

QUICK_SECONDS = 10.0
"""While it is shorter, the page polls several times a second; then the worker is loading, or busy."""
PATIENCE_SECONDS = 180.0
"""After so long without an answer the page stops asking."""

TrialState: TypeAlias = Literal["none", "waiting", "done", "failed", "unanswered"]


def tried_text(sent: str) -> str:
    """The text as it is run: white space at its ends stays, since it belongs to tokens. Raises Invalid."""
    words = sent.replace("\r\n", "\n")
    if not plain_text(words[: LONGEST_TRIAL + 1], what="text", limit=LONGEST_TRIAL):
        raise Invalid("The text is empty. Type something that a neuron may fire on.")
    return words


def state_of(status: WorkStatus, *, has_result: bool, age_seconds: float) -> TrialState:
    """What became of a text that was sent ``age_seconds`` ago."""
    if has_result:
        return "done"
    if status.may_be_retried:
        return "failed"
    return "waiting" if age_seconds < PATIENCE_SECONDS else "unanswered"
