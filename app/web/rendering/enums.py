"""The enums whose members templates compare with, by their names: ``WorkStatus.RUNNING``."""

from collections.abc import Mapping
from enum import StrEnum

from app.domain.collections import CollectionStatus
from app.domain.comparisons import Better
from app.domain.differences import WordChange
from app.domain.executed import Mistake
from app.domain.flags import FlagState, FlagVerdict
from app.domain.imports import ImportStatus
from app.domain.review import CampaignState, ItemSource, Participants, ReviewerKind, SlotKind
from app.domain.samples import SampleKind
from app.domain.work import WorkStatus
from app.queries.neurons.order import SortKey
from app.queries.runs.progress import BatchState

TEMPLATE_ENUMS: Mapping[str, type[StrEnum]] = {
    enum.__name__: enum
    for enum in (
        BatchState,
        Better,
        CampaignState,
        CollectionStatus,
        FlagState,
        FlagVerdict,
        ImportStatus,
        ItemSource,
        Mistake,
        Participants,
        ReviewerKind,
        SampleKind,
        SlotKind,
        SortKey,
        WordChange,
        WorkStatus,
    )
}
