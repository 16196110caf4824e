"""The kinds of events in the history."""

from enum import StrEnum


class EventKind(StrEnum):
    """What happened: a noun and a verb in the past."""

    ACCOUNT_ADDED = "account.added"
    ACCOUNT_DISABLED = "account.disabled"
    ACCOUNT_ENABLED = "account.enabled"
    ACCOUNT_LOGGED_IN = "account.logged_in"
    ACCOUNT_LOGGED_OUT = "account.logged_out"
    BATCH_CANCELLED = "batch.cancelled"
    BATCH_QUEUED = "batch.queued"
    CAMPAIGN_CHANGED = "campaign.changed"
    CAMPAIGN_CREATED = "campaign.created"
    CAMPAIGN_ENDED = "campaign.ended"
    CAMPAIGN_OPENED = "campaign.opened"
    CAP_SET = "cap.set"
    CHECK_COMPLETED = "check.completed"
    COLLECTION_COMPLETED = "collection.completed"
    EXPLANATION_WRITTEN = "explanation.written"
    FLAG_OPENED = "flag.opened"
    FLAGS_OPENED = "flags.opened"
    ITEM_SENT_BACK = "item.sent_back"
    ITEMS_ADDED = "items.added"
    ITEMS_WITHDRAWN = "items.withdrawn"
    PROVIDER_ADDED = "provider.added"
    PROVIDER_PAUSED = "provider.paused"
    PROVIDER_REMOVED = "provider.removed"
    REPORT_STATED = "report.stated"
    RUN_CANCELLED = "run.cancelled"
    RUN_FAILED = "run.failed"
    RUN_QUARANTINED = "run.quarantined"
    RUN_RETRIED = "run.retried"
    RUN_SUCCEEDED = "run.succeeded"
    TASK_CANCELLED = "task.cancelled"
    TASK_FAILED = "task.failed"
    TASK_QUARANTINED = "task.quarantined"
    TASK_QUEUED = "task.queued"
    TASK_RETRIED = "task.retried"
    VERDICT_GIVEN = "verdict.given"
    VERDICT_UNDONE = "verdict.undone"

    @property
    def label(self) -> str:
        """In words, for lists: ``Run succeeded``."""
        return self.value.replace(".", " ").replace("_", " ").capitalize()
