"""News for a person: outcomes of this person's flags, verdicts and batches."""

from enum import StrEnum


class NewsKind(StrEnum):
    """What a piece of news is about."""

    FLAG_SETTLED = "flag_settled"
    BATCH_ENDED = "batch_ended"


MOST_COUNTED = 99
"""News beyond are counted as more than that."""
