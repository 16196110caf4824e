"""Flags as pages show them, with everything that a reviewer needs to judge them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, bindparam, exists, func, select, true
from sqlalchemy.orm import Session, aliased

from app.domain.bounds import BIGGEST_ID
from app.domain.flags import FlagReason, FlagVerdict
from app.domain.headlines import Headline
from app.domain.review import FLAG_KINDS, UNSETTLED, ItemState, Verdict, VerdictKind, flag_verdict
from app.domain.verdict_lines import VerdictLine
from app.errors import NotFound
from app.models import Account, Explanation, Flag, Neuron, ReviewItem, ReviewVerdict, Subject
from app.queries.common.paging import Page, id_page
from app.queries.common.prepared import PendingRows, PreparedSelect, Reads
from app.queries.explanations.headlines import FiguresRow, ShownStanding, standings_of
from app.queries.review.live import stands


@dataclass(frozen=True, slots=True)
class FlagRow:
    """One flag with everything that a reviewer needs to judge it."""

    id: int
    item_id: int
    reason: FlagReason
    note: str
    by: str
    created_at: datetime
    explanation_id: int
    explanation: str
    score: float | None
    """The 2023 score that represents the explanation."""
    simulator: str | None
    """The simulator of the 2023 score."""
    headline: Headline[FiguresRow] | None
    line: VerdictLine
    """The verdict line: the conclusion from headline and doubts."""
    subject: str
    layer: int
    index: int
    needs_explanation: bool
    """Whether the neuron has no explanation to show, since reviewers rejected those it had."""
    shown_now: str | None
    """The explanation that is shown first for the neuron now, if it is another one."""
    verdict: FlagVerdict | None
    """None while the flag is open."""
    kind: VerdictKind | None
    """The newest verdict on the explanation."""
    resolution_note: str | None
    resolved_by: str | None
    resolved_at: datetime | None
    may_be_withdrawn: bool
    """Whether its author may withdraw it: nobody has judged the explanation since."""

    @property
    def asked_for(self) -> VerdictKind:
        """The verdict that would uphold the flag's reason."""
        return FLAG_KINDS.get(self.reason, VerdictKind.WRONG)


@dataclass(frozen=True, slots=True)
class FlagRaised:
    """A flag as the reviewer of its explanation reads it."""

    id: int
    reason: FlagReason
    note: str
    by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class FlagsWanted:
    """The filters of a list of flags; None means no condition."""

    is_open: bool | None = True
    reason: FlagReason | None = None
    by: str | None = None
    """The name of the account that flagged."""

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        """The SQL conditions of the filters."""
        found: list[ColumnElement[bool]] = []
        is_unsettled = ReviewItem.state.in_(UNSETTLED)
        if self.is_open is not None:
            found.append(is_unsettled if self.is_open else ~is_unsettled)
        if self.reason is not None:
            found.append(Flag.reason == self.reason)
        if self.by is not None:
            found.append(Flag.account_id == select(Account.id).where(Account.name == self.by).scalar_subquery())
        return found


OPEN_FLAGS = FlagsWanted()


def flags_page(
    session: Session,
    *,
    size: int,
    wanted: FlagsWanted = OPEN_FLAGS,
    after: str | None = None,
    before: str | None = None,
) -> Page[FlagRow]:
    """``size`` flags, newest first. Raises Invalid for a malformed cursor."""

    def read(conditions: Sequence[ColumnElement[bool]], newest_first: bool, limit: int) -> list[FlagRow]:
        return _rows(session, [*wanted.conditions, *conditions], newest_first=newest_first, limit=limit)

    return id_page(read, Flag.id, size=size, after=after, before=before)


def flag_row(session: Session, *, flag_id: int) -> FlagRow:
    """One flag. Raises NotFound."""
    rows = _rows(session, [Flag.id == flag_id], newest_first=True, limit=1) if 0 < flag_id <= BIGGEST_ID else []
    if not rows:
        raise NotFound("There is no such flag.")
    return rows[0]


def n_open_flags(session: Session) -> int:
    """The number of flags without a verdict, over all subjects."""
    waiting = select(func.count()).select_from(Flag).join(ReviewItem, ReviewItem.id == Flag.item_id)
    return session.scalar(waiting.where(ReviewItem.state.in_(UNSETTLED))) or 0


# Built once at import: an alias costs more than the query.
_OPENER, _RESOLVER = aliased(Account), aliased(Account)
_OF_ITEM = PreparedSelect(
    FlagRaised,
    select(Flag.id, Flag.reason, Flag.note, _OPENER.name.label("by"), Flag.created_at)
    .join(_OPENER, _OPENER.id == Flag.account_id)
    .where(Flag.item_id == bindparam("item_id", type_=BigInteger))
    .order_by(Flag.id.desc())
    .limit(50),
)


def send_item_flags(asked: Reads, *, item_id: int) -> PendingRows[FlagRaised]:
    """Add the query of an item's flags, the newest first, to a statement."""
    return asked.send(_OF_ITEM.given(item_id=item_id))


def _rows(session: Session, conditions: list[ColumnElement[bool]], *, newest_first: bool, limit: int) -> list[FlagRow]:
    verdict = (
        select(ReviewVerdict.kind, ReviewVerdict.note, ReviewVerdict.account_id, ReviewVerdict.created_at)
        .where(ReviewVerdict.item_id == Flag.item_id, stands())
        .order_by(ReviewVerdict.id.desc())
        .limit(1)
        .correlate(Flag)
        .lateral()
    )
    rows = session.execute(
        select(
            Flag,
            _OPENER.name.label("by"),
            _RESOLVER.name.label("resolved_by"),
            verdict.c.kind,
            verdict.c.note.label("resolution_note"),
            verdict.c.created_at.label("resolved_at"),
            ReviewItem.state,
            ReviewItem.outcome,
            exists().where(ReviewVerdict.item_id == Flag.item_id).label("is_judged"),
            Explanation.text.label("explanation"),
            Neuron.layer,
            Neuron.index,
            Neuron.current_explanation_id,
            Neuron.current_text,
            Subject.slug,
        )
        .join(ReviewItem, ReviewItem.id == Flag.item_id)
        .join(Explanation, Explanation.id == Flag.explanation_id)
        .join(Neuron, Neuron.id == Explanation.neuron_id)
        .join(Subject, Subject.id == Neuron.subject_id)
        .join(_OPENER, _OPENER.id == Flag.account_id)
        .outerjoin(verdict, true())
        .outerjoin(_RESOLVER, _RESOLVER.id == verdict.c.account_id)
        .where(*conditions)
        .order_by(Flag.id.desc() if newest_first else Flag.id)
        .limit(limit)
    ).all()
    standings = standings_of(session, explanation_ids=(row.Flag.explanation_id for row in rows))
    return [_flag_row(row, standings[row.Flag.explanation_id]) for row in rows]


def _flag_row(row: Any, standing: ShownStanding) -> FlagRow:
    flag, old = row.Flag, standing.score_2023
    outcome = None if row.outcome is None else Verdict(row.outcome)
    became = flag_verdict(ItemState(row.state), outcome)
    is_resolved = became is not None and row.kind is not None
    return FlagRow(
        id=flag.id,
        item_id=flag.item_id,
        reason=FlagReason(flag.reason),
        note=flag.note,
        by=row.by,
        created_at=flag.created_at,
        explanation_id=flag.explanation_id,
        explanation=row.explanation,
        score=None if old is None else old.value,
        simulator=None if old is None else old.simulator,
        headline=standing.headline,
        line=standing.line,
        subject=row.slug,
        layer=row.layer,
        index=row.index,
        needs_explanation=row.current_explanation_id is None,
        shown_now=row.current_text if row.current_explanation_id != flag.explanation_id else None,
        verdict=became,
        kind=VerdictKind(row.kind) if is_resolved else None,
        resolution_note=row.resolution_note if is_resolved else None,
        resolved_by=row.resolved_by if is_resolved else None,
        resolved_at=row.resolved_at if is_resolved else None,
        may_be_withdrawn=became is None and not row.is_judged,
    )
