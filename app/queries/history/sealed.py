"""Check, by the digests in the chain, that rows of append-only tables are unchanged since insertion."""

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.domain.history import RowFault
from app.models import (
    AuditStatement,
    CampaignDraw,
    CampaignVersion,
    CheckMistake,
    CorpusCheck,
    Explanation,
    ImportedJudgement,
    ReviewControl,
    ReviewVerdict,
    Score,
    Simulation,
)
from app.models.base import Base

SEALED: tuple[type[Base], ...] = (
    AuditStatement,
    CampaignDraw,
    CampaignVersion,
    CheckMistake,
    CorpusCheck,
    Explanation,
    ImportedJudgement,
    ReviewControl,
    Score,
    Simulation,
    ReviewVerdict,
)
# Settings that decide how values are written as text: the same as when the rows were sealed.
_SETTINGS = {"timezone": "UTC", "extra_float_digits": "1", "bytea_output": "hex"}
_CHANGED = """
    WITH sealed AS (
        SELECT of_row.key, of_row.digest FROM row_seal AS seal, unnest(seal.keys, seal.digests) AS of_row(key, digest)
        WHERE seal.table_name = '{table}'),
    found AS (
        SELECT concat_ws(',', {columns}) AS key, sha256(convert_to((
            SELECT jsonb_object_agg(name, value)::text FROM jsonb_each(to_jsonb({table})) AS of_row(name, value)
            WHERE value <> 'null'), 'UTF8')) AS digest
        FROM {table})
    SELECT key, CASE WHEN sealed.digest IS NULL THEN 'added' WHEN found.digest IS NULL THEN 'removed'
        ELSE 'edited' END AS what
    FROM sealed FULL JOIN found USING (key) WHERE sealed.digest IS DISTINCT FROM found.digest
    ORDER BY length(key), key
"""
WORDS = {
    "added": "it was added without a seal",
    "removed": "it was removed",
    "edited": "it was edited",
}


def changed_rows(session: Session) -> tuple[RowFault, ...]:
    """Rows that were edited, removed or added although triggers prevent it. One query per table, over all rows.

    The texts are built here and not by the triggers' functions, which an attacker who edits rows could edit too.
    """
    session.execute(select(*(func.set_config(name, value, True) for name, value in _SETTINGS.items()))).one()
    return tuple(
        RowFault(f"{model.__tablename__.replace('_', ' ')} {row.key}", WORDS[row.what])
        for model in SEALED
        for row in session.execute(text(_statement(model)))
    )


def _statement(model: type[Base]) -> str:
    columns = ", ".join(column.name for column in model.__table__.primary_key)
    return _CHANGED.format(table=model.__tablename__, columns=columns)
