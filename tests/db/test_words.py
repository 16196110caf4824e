"""The words that a column may hold are those of its enum, in the migrated database too."""

import re

import pytest
from sqlalchemy import CheckConstraint, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.models import Base, Collection
from tests.factories import Make

WORD = re.compile(r"'([a-z0-9_]+)'")
LISTS = {
    str(constraint.name): set(WORD.findall(str(constraint.sqltext)))
    for table in Base.metadata.tables.values()
    for constraint in table.constraints
    if isinstance(constraint, CheckConstraint) and " IN (" in str(constraint.sqltext)
}


def test_the_migrated_database_knows_the_same_words_as_the_models(session: Session) -> None:
    checks = (
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c' AND conname = ANY(:names)"
    )
    found = {row[0]: set(WORD.findall(row[1])) for row in session.execute(text(checks), {"names": list(LISTS)})}
    assert found == LISTS


def test_a_word_that_is_not_in_the_enum_is_refused_by_the_database(session: Session, make: Make) -> None:
    collection_id = make.subject().collection_id
    with pytest.raises(IntegrityError, match="ck_collection_status"):
        session.execute(update(Collection).where(Collection.id == collection_id).values(status="finished"))
