"""The auditors' statements in reports of campaigns. Never updated or deleted: a change is a newer row."""

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, BigId, CreatedAt


class AuditStatement(Base):
    """All statements of a campaign's report, saved together; the newest row is the current one."""

    __tablename__ = "audit_statement"
    __table_args__ = (Index("ix_audit_statement_campaign_id", "campaign_id", "id"),)

    id: Mapped[BigId]
    campaign_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("campaign.id"))
    statements: Mapped[dict[str, str]] = mapped_column(JSONB)
    """Texts by the value of ``app.domain.audit.statements.Statement``; statements left empty are absent."""
    account_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("account.id"))
    created_at: Mapped[CreatedAt]
