"""Sums that pages show, kept by differences: see ``app.queries.common.counting``.

Triggers on the counted tables (in the migration) add a row of differences per statement and changed group. Rows are
only added, never changed, so that workers do not wait for each other; a foreign key would lock the row that it refers
to each time. The sum of a group's rows is what counting would find; workers replace many rows by their sum.
"""

from datetime import date
from typing import ClassVar

from sqlalchemy import BigInteger, Index, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, BigId


class CountRow(Base):
    """A difference of ``SUMS`` in the group that ``KEYS`` name."""

    __abstract__ = True
    KEYS: ClassVar[tuple[str, ...]]
    SUMS: ClassVar[tuple[str, ...]]

    id: Mapped[BigId]


class RunCount(CountRow):
    """How many runs of a batch have each status."""

    __tablename__ = "run_count"
    __table_args__ = (Index("ix_run_count_batch_id", "batch_id"),)
    KEYS = ("batch_id",)
    SUMS = ("queued", "running", "succeeded", "failed", "cancelled", "no_explanation", "quarantined", "seconds")

    batch_id: Mapped[int] = mapped_column(BigInteger)
    queued: Mapped[int]
    running: Mapped[int]
    succeeded: Mapped[int]
    failed: Mapped[int]
    cancelled: Mapped[int]
    no_explanation: Mapped[int]
    quarantined: Mapped[int]
    seconds: Mapped[float]
    """Time from start to end of the runs that succeeded, added up."""


class NeuronCount(CountRow):
    """How many neurons of a layer have a current score of one simulator in one bin of the score histogram."""

    __tablename__ = "neuron_count"
    KEYS = ("subject_id", "layer", "simulator", "bin")
    SUMS = ("explained", "flagged")

    subject_id: Mapped[int] = mapped_column(BigInteger)
    layer: Mapped[int] = mapped_column(SmallInteger)
    simulator: Mapped[str | None]
    """Of the current score."""
    bin: Mapped[int | None] = mapped_column(SmallInteger)
    """Of the current score: ``score_bin`` in the migration. NULL without a defined score."""
    explained: Mapped[int]
    """Neurons with a current explanation."""
    flagged: Mapped[int]
    """Neurons with open flags."""


class MethodCount(CountRow):
    """The number of neurons that a method has explained, and their scores by one simulator."""

    __tablename__ = "method_count"
    KEYS = ("method_id", "simulator")
    SUMS = ("neurons", "scored", "total", "squares")

    method_id: Mapped[int] = mapped_column(BigInteger)
    simulator: Mapped[str | None]
    neurons: Mapped[int]
    scored: Mapped[int]
    """Those with a defined score."""
    total: Mapped[float]
    """Sum of the scores."""
    squares: Mapped[float]
    """Sum of their squares."""


class CallCount(CountRow):
    """The calls to a language model on one day (UTC), for one method and one person."""

    __tablename__ = "call_count"
    __table_args__ = (Index("ix_call_count_day", "day"),)
    KEYS = ("day", "provider", "method_id", "account_id", "is_scoring")
    SUMS = ("calls", "tokens_in", "tokens_cached", "tokens_out", "price", "price_estimated")

    day: Mapped[date]
    provider: Mapped[str]
    method_id: Mapped[int | None] = mapped_column(BigInteger)
    account_id: Mapped[int | None] = mapped_column(BigInteger)
    is_scoring: Mapped[bool]
    """Whether the run was to score a given explanation, rather than to explain."""
    calls: Mapped[int]
    tokens_in: Mapped[int] = mapped_column(BigInteger)
    tokens_cached: Mapped[int] = mapped_column(BigInteger)
    tokens_out: Mapped[int] = mapped_column(BigInteger)
    price: Mapped[float]
    price_estimated: Mapped[float]
    """The part of the price that is our estimate."""


COUNT_TABLES: tuple[type[CountRow], ...] = (RunCount, NeuronCount, MethodCount, CallCount)
