"""The version number of the data that pages show; see ``app.queries.common.versions``."""

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base


class ContentChange(Base):
    """The number of statements by one database process that changed data which pages show.

    Triggers count (in the migration). Each process has its own row, so that none waits for another's transaction.
    """

    __tablename__ = "content_change"

    process: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """The process's number at the server; 0 has the sum of the processes that have ended."""
    n: Mapped[int] = mapped_column(BigInteger)


NOT_SHOWN = {
    "attempt_count": "limits logins",
    "content_change": "the version itself",
    "event_link": "follows from the events",
    "login_token": "limits logins",
    "openid_login": "a login under way",
    "pause": "on pages of work, which are not kept",
    "query_embedding": "what was looked up before",
    "row_seal": "follows from the rows",
    "spending": "limits requests",
    "turn": "of workers",
    "worker": "on pages of work, which are not kept",
}
"""Tables whose data no cached page shows, with the reason. Tables in ``COUNT_TABLES`` follow from other tables."""
WHILE_AT_WORK = {
    "run": ("lease_token", "lease_until", "due_at", "stage", "progress", "worker_id", "executions"),
    "task": ("lease_token", "lease_until", "due_at", "stage", "progress", "worker_id", "executions"),
    "collection": ("lease_until", "stage", "progress", "part_tokens", "tokens_done", "tokens_per_second"),
    "web_session": ("seen_at",),
}
"""Columns that change continually while work is done or somebody reads; pages that show them are not cached."""
