"""Flags and verdicts that files bring with explanations: kept as they were given, and never counted as local ones."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.domain.imports import JudgementKind
from app.domain.storable import storable_json
from app.formats import records as model
from app.models import ImportedJudgement

ROWS = 1_000
"""Of one statement."""


@dataclass(frozen=True, slots=True)
class Judgements:
    """What people at other sites have said of an explanation, in the order in which it came."""

    flags: tuple[model.Flag, ...] = ()
    verdicts: tuple[model.Verdict, ...] = ()


NONE = Judgements()


def store_judgements(session: Session, *, found: Mapping[int, model.Explanation]) -> int:
    """Store the flags and verdicts of explanations, by the explanation's id. Returns the number of new ones."""
    rows = [row for explanation_id, each in found.items() for row in _rows(explanation_id, each)]
    n = 0
    for start in range(0, len(rows), ROWS):
        new = insert(ImportedJudgement).on_conflict_do_nothing().returning(ImportedJudgement.id)
        n += len(session.execute(new.values(rows[start : start + ROWS])).all())
    return n


def _rows(explanation_id: int, found: model.Explanation) -> Iterator[dict[str, Any]]:
    judged: list[tuple[JudgementKind, model.Flag | model.Verdict]] = [
        *((JudgementKind.FLAG, flag) for flag in found.flags),
        *((JudgementKind.VERDICT, verdict) for verdict in found.verdicts),
    ]
    for kind, each in judged:
        content = storable_json(asdict(replace(each, is_imported=True)))
        name = json.dumps([kind, content], sort_keys=True).encode()
        yield {
            "explanation_id": explanation_id,
            "kind": str(kind),
            "content": content,
            "digest": hashlib.sha256(name).hexdigest(),
        }


def imported_judgements(session: Session, *, explanation_ids: Sequence[int]) -> dict[int, Judgements]:
    """What other sites have said of explanations, by the explanation's id. One query."""
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
