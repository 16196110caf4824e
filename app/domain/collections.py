"""States and stages of a collection."""

from enum import StrEnum


class CollectionStatus(StrEnum):
    """Only a complete collection is shown."""

    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"


class CollectionStage(StrEnum):
    """What a pass over a corpus does: a collection all but ``CHECK``, in this order; a check what it needs of it."""

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
        """What its progress is counted in."""
        return "layers" if self is CollectionStage.STORE else "tokens"


_LABELS = {
    CollectionStage.CUT: "cutting the text",
    CollectionStage.PILOT: "pilot pass",
    CollectionStage.COLLECT: "collecting",
    CollectionStage.LOOK: "finding hard negatives",
    CollectionStage.CHECK: "checking explanations",
    CollectionStage.STORE: "storing",
}
