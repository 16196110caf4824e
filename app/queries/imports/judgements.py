"""Flags and verdicts that files contain: stored as given, and never counted as local ones."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import func, select, union_all
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.domain.imports import JudgementKind
from app.domain.storable import storable_json
from app.formats import records as model
from app.models import Account, Flag, ImportedJudgement, ReviewItem, ReviewVerdict

ROWS = 1_000
"""Rows per statement."""
_Given: TypeAlias = tuple[int, str, datetime | None]
"""The explanation's id, who judged it, and when."""


@dataclass(frozen=True, slots=True)
class Judgements:
    """Judgements of an explanation made at other sites, in the order in which they were imported."""

    flags: tuple[model.Flag, ...] = ()
    verdicts: tuple[model.Verdict, ...] = ()


NONE = Judgements()


def store_judgements(session: Session, *, found: Mapping[int, model.Explanation]) -> int:
    """Store the flags and verdicts of explanations, by the explanation's id. Returns the number of new ones.

    Judgements that were given at this site and come back in an exported file are not new.
    """
    given_here = _given_here(session, sorted(found))
    rows = [row for explanation_id, each in found.items() for row in _rows(explanation_id, each, given_here)]
    n = 0
    for start in range(0, len(rows), ROWS):
        new = insert(ImportedJudgement).on_conflict_do_nothing().returning(ImportedJudgement.id)
        n += len(session.execute(new.values(rows[start : start + ROWS])).all())
    return n


def moment_of(date: str | None) -> datetime | None:
    """The time of a date in a file; None if it cannot be read as one."""
    try:
        return None if date is None else datetime.fromisoformat(date)
    except ValueError:
        return None


def _given_here(session: Session, explanation_ids: Sequence[int]) -> set[_Given]:
    """Flags and verdicts given by this site's own users."""
    flags = (
        select(Flag.explanation_id, Account.name, Flag.created_at)
        .join(Account, Account.id == Flag.account_id)
        .where(Flag.explanation_id == func.any(list(explanation_ids)))
    )
    verdicts = (
        select(ReviewItem.explanation_id, Account.name, ReviewVerdict.created_at)
        .join(ReviewItem, ReviewItem.id == ReviewVerdict.item_id)
        .join(Account, Account.id == ReviewVerdict.account_id)
        .where(ReviewItem.explanation_id == func.any(list(explanation_ids)))
    )
    rows = session.execute(union_all(flags, verdicts)).all() if explanation_ids else ()
    return {(explanation_id, name, at) for explanation_id, name, at in rows}


def _rows(explanation_id: int, found: model.Explanation, given_here: Collection[_Given]) -> Iterator[dict[str, Any]]:
    judged: list[tuple[JudgementKind, model.Flag | model.Verdict]] = [
        *((JudgementKind.FLAG, flag) for flag in found.flags),
        *((JudgementKind.VERDICT, verdict) for verdict in found.verdicts),
    ]
    for kind, each in judged:
        by = each.by if isinstance(each, model.Flag) else each.reviewer
        if (explanation_id, by, moment_of(each.created_at)) in given_here:
            continue
        content = storable_json(asdict(replace(each, is_imported=True)))
        name = json.dumps([kind, content], sort_keys=True).encode()
        yield {
            "explanation_id": explanation_id,
            "kind": str(kind),
            "content": content,
            "digest": hashlib.sha256(name).hexdigest(),
        }


def imported_judgements(session: Session, *, explanation_ids: Sequence[int]) -> dict[int, Judgements]:
    """Judgements made at other sites, by the explanation's id. One query."""
    rows = session.execute(
        select(ImportedJudgement.explanation_id, ImportedJudgement.kind, ImportedJudgement.content)
        .where(ImportedJudgement.explanation_id == func.any(list(explanation_ids)))
        .order_by(ImportedJudgement.id)
    )
    flags, verdicts = defaultdict[int, list[model.Flag]](list), defaultdict[int, list[model.Verdict]](list)
    for explanation_id, kind, content in rows:
        if kind == JudgementKind.FLAG:
            flags[explanation_id].append(model.Flag(**content))
        else:
            verdicts[explanation_id].append(model.Verdict(**content))
    return {
        explanation_id: Judgements(tuple(flags[explanation_id]), tuple(verdicts[explanation_id]))
        for explanation_id in flags.keys() | verdicts.keys()
    }
