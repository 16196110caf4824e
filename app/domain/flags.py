"""Flags: why a person doubts an explanation, and a reviewer's verdict."""

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


class FlagVerdict(StrEnum):
    """A reviewer's decision on a flag."""

    UPHELD = "upheld"
    REJECTED = "rejected"

    @property
    def label(self) -> str:
        """The verdict as pages show it."""
        return self.value.capitalize()
