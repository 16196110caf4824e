"""News for a person: what became of the flags, verdicts and batches that are this person's."""

from enum import StrEnum


class NewsKind(StrEnum):
    """What a piece of news is about."""

    FLAG_SETTLED = "flag_settled"
    BATCH_ENDED = "batch_ended"


MOST_COUNTED = 99
"""News beyond are counted as more than that."""
