"""The words of flags: why an explanation is complained about, and what a reviewer says to it."""

from enum import StrEnum


class FlagReason(StrEnum):
    """Why somebody doubts an explanation."""

    WRONG = "wrong"
    TOO_BROAD = "too_broad"
    TOO_NARROW = "too_narrow"
    SEVERAL_MEANINGS = "several_meanings"
    UNREADABLE = "unreadable"
    OTHER = "other"

    @property
    def label(self) -> str:
        """The reason as pages write it."""
        return self.value.replace("_", " ").capitalize()


class FlagState(StrEnum):
    """Which flags a list shows."""

    OPEN = "open"
    RESOLVED = "resolved"


class FlagVerdict(StrEnum):
    """What the verdicts on the flagged explanation say of the flag."""

    UPHELD = "upheld"
    """The explanation holds partly or fails."""
    REJECTED = "rejected"
    """The explanation holds."""
    UNDECIDED = "undecided"
    """Nobody could tell."""
    WITHDRAWN = "withdrawn"

    @property
    def label(self) -> str:
        """The verdict as pages write it."""
        return self.value.capitalize()
