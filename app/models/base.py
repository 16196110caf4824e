"""What every table shares."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Identity, MetaData, func
from sqlalchemy.orm import DeclarativeBase, mapped_column

BigId = Annotated[int, mapped_column(BigInteger, Identity(), primary_key=True)]
Moment = Annotated[datetime, mapped_column(DateTime(timezone=True))]
CreatedAt = Annotated[datetime, mapped_column(DateTime(timezone=True), server_default=func.now())]


def one_of(column: str, words: type[StrEnum]) -> CheckConstraint:
    """The constraint that a text column holds a member of an enum. It is named after the column."""
    return CheckConstraint(is_one_of(column, words), name=column)


def is_one_of(column: str, words: Iterable[str]) -> str:
    """SQL for a column that holds one of some words, for partial indexes and what has to fit them."""
    listed = ", ".join(f"'{word}'" for word in words)
    return f"{column} IN ({listed})"


class Base(DeclarativeBase):
    """Names every constraint, so that migrations can."""

    metadata: ClassVar[MetaData] = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
