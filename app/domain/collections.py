"""Where a collection stands."""

from enum import StrEnum


class CollectionStatus(StrEnum):
    """Only a complete collection is shown."""

    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"
