"""Flags: opened by readers, resolved once by reviewers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from sqlalchemy import ColumnElement, func, select, true, update
from sqlalchemy.orm import Session, aliased

from app.domain.bounds import BIGGEST_ID, LONGEST_NOTE
from app.domain.events import EventKind
from app.domain.flags import FlagReason, FlagVerdict
from app.domain.standing import SCORE_2023
from app.domain.verdict_lines import VerdictLine
from app.errors import Conflict, NotFound
from app.models import Account, Explanation, Flag, Neuron, Subject
from app.queries.common.inputs import one_of, plain_text
from app.queries.common.paging import Page, id_page
from app.queries.doubts.shown import verdict_lines
from app.queries.explanations.standing import score_standing_for
from app.queries.history.events import record_event


@dataclass(frozen=True, slots=True)
class FlagRow:
    """One flag with what a reviewer needs to judge it."""

    id: int
    reason: FlagReason
    note: str
    by: str
    created_at: datetime
    explanation_id: int
    explanation: str
    score: float | None
    """The 2023 score that represents the explanation."""
    simulator: str | None
    """Of the score."""
    line: VerdictLine
    """What the score means."""
    subject: str
    layer: int
    index: int
    verdict: FlagVerdict | None
    resolution_note: str | None
    resolved_by: str | None
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Flagged:
    """Where a flagged explanation belongs."""

    neuron_id: int
    subject_id: int


def open_flag(session: Session, *, explanation_id: int, account_id: int, reason: str, note: str) -> int:
    """Open a flag against an explanation. Returns the flag's id.

    Raises NotFound for an unknown explanation, Invalid for an unknown reason or an over-long note, Conflict where
    the same account already has an open flag with this reason against it.
    """
    wanted = one_of(reason, FlagReason, what="reason")
    text = plain_text(note, what="note", limit=LONGEST_NOTE)
    flagged = _flagged(session, explanation_id)
    # The neuron's row is locked first, so that two requests at once see each other's flag.
    session.execute(update(Neuron).where(Neuron.id == flagged.neuron_id).values(n_open_flags=Neuron.n_open_flags + 1))
    same = select(Flag.id).where(
        Flag.explanation_id == explanation_id,
        Flag.account_id == account_id,
        Flag.reason == wanted,
        Flag.resolved_at.is_(None),
    )
    if session.scalar(same.limit(1)) is not None:
        raise Conflict("You have already flagged this explanation for this reason. The flag is still open.")
    flag = Flag(explanation_id=explanation_id, account_id=account_id, reason=wanted, note=text)
    session.add(flag)
    session.flush()  # the event and the caller need its id
    _record(session, EventKind.FLAG_OPENED, flagged, account_id, {"flag_id": flag.id, "reason": wanted, "note": text})
    return flag.id


def resolve_flag(session: Session, *, flag_id: int, account_id: int, verdict: str, note: str) -> None:
    """Close an open flag with a verdict and a note.

    Raises NotFound for an unknown flag, Conflict where it is resolved already, Invalid for an unknown verdict or an
    over-long note. Whether the account may judge is the caller's to know.
    """
    judged = one_of(verdict, FlagVerdict, what="verdict")
    text = plain_text(note, what="note", limit=LONGEST_NOTE)
    if not 0 < flag_id <= BIGGEST_ID:
        raise NotFound("There is no such flag.")
    explanation_id = session.scalar(
        update(Flag)
        .where(Flag.id == flag_id, Flag.resolved_at.is_(None))
        .values(verdict=judged, resolution_note=text, resolved_by_id=account_id, resolved_at=func.now())
        .returning(Flag.explanation_id)
    )
    if explanation_id is None:
        _raise_unresolvable(session, flag_id)
    flagged = _flagged(session, explanation_id)
    session.execute(update(Neuron).where(Neuron.id == flagged.neuron_id).values(n_open_flags=Neuron.n_open_flags - 1))
    _record(
        session, EventKind.FLAG_RESOLVED, flagged, account_id, {"flag_id": flag_id, "verdict": judged, "note": text}
    )


def flags_page(
    session: Session,
    *,
    size: int,
    is_open: bool = True,
    reason: FlagReason | None = None,
    after: str | None = None,
    before: str | None = None,
) -> Page[FlagRow]:
    """``size`` flags, newest first, open or resolved ones. Raises Invalid for a malformed cursor."""
    wanted: list[ColumnElement[bool]] = [Flag.resolved_at.is_(None) if is_open else Flag.resolved_at.is_not(None)]
    if reason is not None:
        wanted.append(Flag.reason == reason)

    def read(conditions: Sequence[ColumnElement[bool]], newest_first: bool, limit: int) -> list[FlagRow]:
        return _rows(session, [*wanted, *conditions], newest_first=newest_first, limit=limit)

    return id_page(read, Flag.id, size=size, after=after, before=before)


def flag_row(session: Session, *, flag_id: int) -> FlagRow:
    """One flag. Raises NotFound."""
    rows = _rows(session, [Flag.id == flag_id], newest_first=True, limit=1) if 0 < flag_id <= BIGGEST_ID else []
    if not rows:
        raise NotFound("There is no such flag.")
    return rows[0]


def n_open_flags(session: Session) -> int:
    """How many flags wait for a verdict, over all subjects."""
    return session.scalar(select(func.count()).select_from(Flag).where(Flag.resolved_at.is_(None))) or 0


def _rows(session: Session, conditions: list[ColumnElement[bool]], *, newest_first: bool, limit: int) -> list[FlagRow]:
    opener, resolver = aliased(Account), aliased(Account)
    score = score_standing_for(Explanation, SCORE_2023)
    rows = session.execute(
        select(
            Flag,
            opener.name.label("by"),
            resolver.name.label("resolved_by"),
            Explanation.text.label("explanation"),
            Neuron.layer,
            Neuron.index,
            score.c.id.label("score_id"),
            score.c.value,
            score.c.simulator,
            Subject.slug,
        )
        .join(Explanation, Explanation.id == Flag.explanation_id)
        .join(Neuron, Neuron.id == Explanation.neuron_id)
        .join(Subject, Subject.id == Neuron.subject_id)
        .join(opener, opener.id == Flag.account_id)
        .outerjoin(resolver, resolver.id == Flag.resolved_by_id)
        .outerjoin(score, true())
        .where(*conditions)
        .order_by(Flag.id.desc() if newest_first else Flag.id)
        .limit(limit)
    ).all()
    lines = verdict_lines(session, scores={row.Flag.explanation_id: row.score_id for row in rows})
    return [_flag_row(row, lines[row.Flag.explanation_id]) for row in rows]


def _flag_row(row: Any, line: VerdictLine) -> FlagRow:
    flag: Flag = row.Flag
    return FlagRow(
        id=flag.id,
        reason=FlagReason(flag.reason),
        note=flag.note,
        by=row.by,
        created_at=flag.created_at,
        explanation_id=flag.explanation_id,
        explanation=row.explanation,
        score=row.value,
        simulator=row.simulator,
        line=line,
        subject=row.slug,
        layer=row.layer,
        index=row.index,
        verdict=FlagVerdict(flag.verdict) if flag.verdict is not None else None,
        resolution_note=flag.resolution_note,
        resolved_by=row.resolved_by,
        resolved_at=flag.resolved_at,
    )


def _flagged(session: Session, explanation_id: int) -> _Flagged:
    if 0 < explanation_id <= BIGGEST_ID:
        row = session.execute(
            select(Neuron.id, Neuron.subject_id)
            .join(Explanation, Explanation.neuron_id == Neuron.id)
            .where(Explanation.id == explanation_id)
        ).first()
        if row is not None:
            return _Flagged(row.id, row.subject_id)
    raise NotFound("There is no such explanation.")


def _raise_unresolvable(session: Session, flag_id: int) -> NoReturn:
    if session.scalar(select(Flag.id).where(Flag.id == flag_id)) is None:
        raise NotFound("There is no such flag.")
    raise Conflict("This flag is already resolved. Its verdict is in the list of resolved flags.")


def _record(session: Session, kind: EventKind, flagged: _Flagged, account_id: int, detail: dict[str, Any]) -> None:
    record_event(
        session,
        kind=kind,
        account_id=account_id,
        subject_id=flagged.subject_id,
        neuron_id=flagged.neuron_id,
        detail=detail,
    )
