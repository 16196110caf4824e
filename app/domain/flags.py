"""Flags: a person's complaint about an explanation, and the outcome of its review."""

from enum import StrEnum


class FlagReason(StrEnum):
    """The reason of a flag."""

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
    """The flags that a list shows."""

    OPEN = "open"
    RESOLVED = "resolved"
    ALL = "all"


class FlagVerdict(StrEnum):
    """The outcome of a flag, decided by the verdicts on the flagged explanation."""

    UPHELD = "upheld"
    """The explanation was found to hold partly or to fail."""
    REJECTED = "rejected"
    """The explanation was found to hold."""
    UNDECIDED = "undecided"
    """No reviewer could decide."""
    WITHDRAWN = "withdrawn"

    @property
    def label(self) -> str:
        """The verdict as pages show it."""
        return self.value.capitalize()
