"""Flags: why a person doubts an explanation, and the outcome of its review."""

from enum import StrEnum


class FlagReason(StrEnum):
    """Why a person doubts an explanation."""

    WRONG = "wrong"
    TOO_BROAD = "too_broad"
    TOO_NARROW = "too_narrow"
    SEVERAL_MEANINGS = "several_meanings"
    UNREADABLE = "unreadable"
    OTHER = "other"

    @property
    def label(self) -> str:
        """The reason as pages show it."""
        return self.value.replace("_", " ").capitalize()


class FlagState(StrEnum):
    """Which flags a list shows."""

    OPEN = "open"
    RESOLVED = "resolved"
    ALL = "all"


class FlagVerdict(StrEnum):
    """The outcome of a flag, from the verdicts on the flagged explanation."""

    UPHELD = "upheld"
    """The explanation holds partly or fails."""
    REJECTED = "rejected"
    """The explanation holds."""
    UNDECIDED = "undecided"
    """No reviewer could decide."""
    WITHDRAWN = "withdrawn"

    @property
    def label(self) -> str:
        """The verdict as pages show it."""
        return self.value.capitalize()
