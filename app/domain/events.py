"""The kinds of events in the history."""

from enum import StrEnum


class EventKind(StrEnum):
    """What happened: a noun and a verb in the past."""

    ACCOUNT_ADDED = "account.added"
    ACCOUNT_BOUND = "account.bound"
    ACCOUNT_DISABLED = "account.disabled"
    ACCOUNT_EMAIL_SET = "account.email_set"
    ACCOUNT_ENABLED = "account.enabled"
    ACCOUNT_LOGGED_IN = "account.logged_in"
    ACCOUNT_INVITED = "account.invited"
    ACCOUNT_LOGGED_OUT = "account.logged_out"
    ACCOUNT_ROLE_CHANGED = "account.role_changed"
    BATCH_CANCELLED = "batch.cancelled"
    BATCH_QUEUED = "batch.queued"
    CAMPAIGN_CHANGED = "campaign.changed"
    CAMPAIGN_CREATED = "campaign.created"
    CAMPAIGN_ENDED = "campaign.ended"
    CAMPAIGN_OPENED = "campaign.opened"
    CAP_SET = "cap.set"
    CHECK_COMPLETED = "check.completed"
    COLLECTION_COMPLETED = "collection.completed"
    COLLECTION_SHOWN = "collection.shown"
    EXPLANATION_WRITTEN = "explanation.written"
    FLAG_OPENED = "flag.opened"
    FLAG_WITHDRAWN = "flag.withdrawn"
    FLAGS_OPENED = "flags.opened"
    IMPORT_COMPLETED = "import.completed"
    IMPORT_STARTED = "import.started"
    ITEM_SENT_BACK = "item.sent_back"
    ITEMS_ADDED = "items.added"
    ITEMS_WITHDRAWN = "items.withdrawn"
    PASSWORD_SET = "password.set"  # noqa: S105 - the name of an event
    PROVIDER_ADDED = "provider.added"
    PROVIDER_CHANGED = "provider.changed"
    PROVIDER_DISABLED = "provider.disabled"
    PROVIDER_ENABLED = "provider.enabled"
    PROVIDER_KEY_DELETED = "provider.key_deleted"
    PROVIDER_KEY_SET = "provider.key_set"
    PROVIDER_PAUSED = "provider.paused"
    PROVIDER_REMOVED = "provider.removed"
    REPORT_STATED = "report.stated"
    RUN_CANCELLED = "run.cancelled"
    RUN_FAILED = "run.failed"
    RUN_NO_EXPLANATION = "run.no_explanation"
    RUN_QUARANTINED = "run.quarantined"
    RUN_RETRIED = "run.retried"
    RUN_SUCCEEDED = "run.succeeded"
    SESSION_ENDED = "session.ended"
    TASK_CANCELLED = "task.cancelled"
    TASK_FAILED = "task.failed"
    TASK_QUARANTINED = "task.quarantined"
    TASK_QUEUED = "task.queued"
    TASK_RETRIED = "task.retried"
    TOKEN_CREATED = "token.created"  # noqa: S105 - the name of an event
    TOKEN_REVOKED = "token.revoked"  # noqa: S105 - the name of an event
    VERDICT_GIVEN = "verdict.given"
    VERDICT_UNDONE = "verdict.undone"

    @property
    def label(self) -> str:
        """In words, for lists: ``Run succeeded``."""
        return self.value.replace(".", " ").replace("_", " ").capitalize()
