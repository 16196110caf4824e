"""States and stages of a collection."""

from enum import StrEnum


class CollectionStatus(StrEnum):
    """The status of a collection. Pages show complete collections only."""

    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"


class CollectionStage(StrEnum):
    """The stages of a pass over a corpus. A collection has all but ``CHECK``, in this order; a check has those that it
    needs.
    """

    CUT = "cut"
    PILOT = "pilot"
    COLLECT = "collect"
    LOOK = "look"
    CHECK = "check"
    STORE = "store"

    @property
    def label(self) -> str:
        """The stage in words, for pages and the command line."""
        return _LABELS[self]

    @property
    def unit(self) -> str:
        """The unit in which the stage's progress is counted."""
        return "layers" if self is CollectionStage.STORE else "tokens"


_LABELS = {
    CollectionStage.CUT: "cutting the text",
    CollectionStage.PILOT: "pilot pass",
    CollectionStage.COLLECT: "collecting",
    CollectionStage.LOOK: "finding hard negatives",
    CollectionStage.CHECK: "checking explanations",
    CollectionStage.STORE: "storing",
}
