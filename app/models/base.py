"""The base class of all tables, and constraints that they share."""

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
    """The constraint that a text column has a value of an enum. It is named after the column."""
    return CheckConstraint(is_one_of(column, words), name=column)


def is_one_of(column: str, words: Iterable[str]) -> str:
    """SQL condition that a column has one of some values; for partial indexes and queries that must match them."""
    listed = ", ".join(f"'{word}'" for word in words)
    return f"{column} IN ({listed})"


class Base(DeclarativeBase):
    """The declarative base. It names every constraint, so that migrations can refer to it."""

    metadata: ClassVar[MetaData] = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
