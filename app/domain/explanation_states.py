"""The state of an explanation in review, in one word beside its text."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.domain.review import ItemState, Verdict


class ExplanationState(StrEnum):
    """The state of an explanation in review."""

    DISPUTED = "disputed"
    FLAGGED = "flagged"
    REJECTED = "rejected"
    HOLDS = "holds"

    @property
    def label(self) -> str:
        """The state in a few words."""
        return _LABELS[self]

    @property
    def sentence(self) -> str:
        """The state's meaning in one sentence."""
        return _SENTENCES[self]


_LABELS = {
    ExplanationState.DISPUTED: "disputed",
    ExplanationState.FLAGGED: "flagged, not judged yet",
    ExplanationState.REJECTED: "rejected by reviewers",
    ExplanationState.HOLDS: "settled as holding",
}
_SENTENCES = {
    ExplanationState.DISPUTED: "Reviewers do not agree about it: a further verdict is needed.",
    ExplanationState.FLAGGED: "Somebody has flagged it, and no reviewer has settled the flag.",
    ExplanationState.REJECTED: "Reviewers have rejected it, by an upheld flag or in a campaign: it is not shown first.",
    ExplanationState.HOLDS: "Reviewers have settled that it holds.",
}


@dataclass(frozen=True, slots=True)
class JudgedItem:
    """An explanation as an item of a campaign, where its verdicts may be shown."""

    state: ItemState
    outcome: Verdict | None


def explanation_state(items: Sequence[JudgedItem], *, is_rejected: bool) -> ExplanationState | None:
    """The state of an explanation; None if no verdict decides it. ``items`` are the explanation's, oldest first.

    An item that is still being judged takes precedence over settled ones; among settled items a rejection takes
    precedence over the newest outcome.
    """
    if any(item.state is ItemState.DISPUTED for item in items):
        return ExplanationState.DISPUTED
    if any(item.state is ItemState.OPEN for item in items):
        return ExplanationState.FLAGGED
    if is_rejected:
        return ExplanationState.REJECTED
    outcomes = [item.outcome for item in items if item.outcome is not None]
    return ExplanationState.HOLDS if outcomes and outcomes[-1] is Verdict.HOLDS else None
