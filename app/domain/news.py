"""News for a person: outcomes of their flags, verdicts and batches."""

from enum import StrEnum


class NewsKind(StrEnum):
    """The subject of a piece of news."""

    FLAG_SETTLED = "flag_settled"
    BATCH_ENDED = "batch_ended"


MOST_COUNTED = 99
"""The largest number of unseen news that is counted exactly."""
