"""The auditors' statements in a campaign's report: read, and saved as a newer row."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.audit.statements import LONGEST_STATEMENT, Statement
from app.domain.events import EventKind
from app.errors import Conflict
from app.models import Account, AuditStatement, Campaign
from app.queries.common.inputs import plain_text
from app.queries.history.events import record_event
from app.queries.review.campaigns import campaign_head


@dataclass(frozen=True, slots=True)
class SavedStatements:
    """A saved version of the statements. The history has what changed."""

    at: datetime
    by: str | None
    changed: tuple[Statement, ...]


def statements_in_force(session: Session, *, campaign_id: int) -> dict[Statement, str]:
    """The current statements; those that were left empty are absent. One query."""
    newest = session.scalar(
        select(AuditStatement.statements)
        .where(AuditStatement.campaign_id == campaign_id)
        .order_by(AuditStatement.id.desc())
        .limit(1)
    )
    return {each: newest[each] for each in Statement if each in newest} if newest else {}


def saved_statements(session: Session, *, campaign_id: int) -> tuple[SavedStatements, ...]:
    """Every version, oldest first, with what it changed."""
    rows = session.execute(
        select(AuditStatement.created_at, Account.name, AuditStatement.statements)
        .outerjoin(Account, Account.id == AuditStatement.account_id)
        .where(AuditStatement.campaign_id == campaign_id)
        .order_by(AuditStatement.id)
    )
    found: list[SavedStatements] = []
    before: dict[str, str] = {}
    for at, by, now in rows:
        found.append(SavedStatements(at, by, tuple(each for each in Statement if now.get(each) != before.get(each))))
        before = now
    return tuple(found)


def save_statements(
    session: Session, *, campaign_id: int, account_id: int | None, statements: Mapping[Statement, str]
) -> None:
    """Save these statements as the current ones; empty ones are left out. One event.

    Raises NotFound for an unknown campaign, Invalid for an over-long statement, Conflict if nothing would change.
    """
    campaign_head(session, campaign_id=campaign_id)
    # Locked, so that of two people who save at once the second sees the first one's statements.
    subject_id = session.scalar(select(Campaign.subject_id).where(Campaign.id == campaign_id).with_for_update())
    clean = {
        str(each): text
        for each in Statement
        if (text := plain_text(statements.get(each, ""), what=each.replace("_", " "), limit=LONGEST_STATEMENT))
    }
    before = {str(each): text for each, text in statements_in_force(session, campaign_id=campaign_id).items()}
    if clean == before:
        raise Conflict("These statements are in force already. Nothing was saved.")
    session.add(AuditStatement(campaign_id=campaign_id, statements=clean, account_id=account_id))
    changed = [each for each in Statement if clean.get(each) != before.get(each)]
    detail = {
        "campaign_id": campaign_id,
        "before": {each: before.get(each) for each in changed},
        "after": {each: clean.get(each) for each in changed},
    }
    record_event(session, kind=EventKind.REPORT_STATED, account_id=account_id, subject_id=subject_id, detail=detail)
