"""Sums that pages show, stored as differences: see ``app.queries.common.counting``.

Triggers on the counted tables (in the migration) add a row of differences per statement and changed group. Rows are
only added, never changed, so that workers do not wait for each other. There is no foreign key, since each insert would
lock the row that it refers to. The sum of a group's rows equals the count; workers replace many rows by their sum.
"""

from datetime import date
from typing import ClassVar

from sqlalchemy import BigInteger, Index, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, BigId


class CountRow(Base):
    """A difference in the columns ``SUMS`` for the group that the columns ``KEYS`` identify."""

    __abstract__ = True
    KEYS: ClassVar[tuple[str, ...]]
    SUMS: ClassVar[tuple[str, ...]]

    id: Mapped[BigId]


class RunCount(CountRow):
    """The number of runs of a batch by status."""

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
    """Total time from start to end of the runs that succeeded."""


class ChangeCount(CountRow):
    """The number of runs of a batch by how they changed their neuron's score."""

    __tablename__ = "change_count"
    __table_args__ = (Index("ix_change_count_batch_id", "batch_id"),)
    KEYS = ("batch_id",)
    SUMS = ("better", "same", "worse", "first", "unclear", "current")

    batch_id: Mapped[int] = mapped_column(BigInteger)
    better: Mapped[int]
    same: Mapped[int]
    worse: Mapped[int]
    first: Mapped[int]
    unclear: Mapped[int]
    current: Mapped[int]
    """Runs whose explanation is a new one and shown first."""


class NeuronCount(CountRow):
    """The number of neurons of a layer by simulator and bin of the score histogram.

    The score is the headline, or the 2023 score if there is no defined headline.
    """

    __tablename__ = "neuron_count"
    KEYS = ("subject_id", "layer", "is_headline", "simulator", "bin")
    SUMS = ("explained", "flagged", "doubtful", "rejected")

    subject_id: Mapped[int] = mapped_column(BigInteger)
    layer: Mapped[int] = mapped_column(SmallInteger)
    is_headline: Mapped[bool]
    """Whether the score is a whole-corpus score."""
    simulator: Mapped[str | None]
    bin: Mapped[int | None] = mapped_column(SmallInteger)
    """The bin by the SQL function ``score_bin`` of the migration. NULL without a defined score."""
    explained: Mapped[int]
    """Neurons with a current explanation."""
    flagged: Mapped[int]
    """Neurons with open flags."""
    doubtful: Mapped[int]
    """Neurons with an automatic doubt about their current explanation."""
    rejected: Mapped[int]
    """Neurons whose every explanation reviewers have rejected."""


class RankCount(CountRow):
    """The number of neurons of a layer by kind of score, simulator and bin; a bin is one hundredth wide.

    A neuron with a whole-corpus headline and a 2023 score is counted under both; see ``app.queries.neurons.ranks``.
    """

    __tablename__ = "rank_count"
    __table_args__ = (
        Index(
            "ix_rank_count_layer", "subject_id", "layer", "scorer", "simulator", "bin", postgresql_include=["neurons"]
        ),
    )
    KEYS = ("subject_id", "layer", "scorer", "simulator", "bin")
    SUMS = ("neurons",)

    subject_id: Mapped[int] = mapped_column(BigInteger)
    layer: Mapped[int] = mapped_column(SmallInteger)
    scorer: Mapped[str | None]
    simulator: Mapped[str | None]
    bin: Mapped[int | None] = mapped_column(SmallInteger)
    """The bin by the SQL function ``rank_bin`` of the migration."""
    neurons: Mapped[int]


class TableCount(CountRow):
    """The number of neurons by the bin of their headline and the bin of their token table's score."""

    __tablename__ = "table_count"
    KEYS = ("subject_id", "bin", "table_bin")
    SUMS = ("neurons",)

    subject_id: Mapped[int] = mapped_column(BigInteger)
    bin: Mapped[int | None] = mapped_column(SmallInteger)
    table_bin: Mapped[int | None] = mapped_column(SmallInteger)
    neurons: Mapped[int]


class DoubtedCount(CountRow):
    """The number of neurons by doubt about their current explanation."""

    __tablename__ = "doubted_count"
    KEYS = ("subject_id", "doubt")
    SUMS = ("neurons",)

    subject_id: Mapped[int] = mapped_column(BigInteger)
    doubt: Mapped[str]
    neurons: Mapped[int]


class MethodCount(CountRow):
    """The number of neurons of a subject that a method has explained, and their scores of one kind by one simulator."""

    __tablename__ = "method_count"
    KEYS = ("method_id", "subject_id", "is_whole_corpus", "simulator")
    SUMS = ("neurons", "scored", "total", "squares", "compared", "above", "margin")

    method_id: Mapped[int] = mapped_column(BigInteger)
    subject_id: Mapped[int] = mapped_column(BigInteger)
    is_whole_corpus: Mapped[bool]
    """The kind of score; see ``MethodStanding``."""
    simulator: Mapped[str | None]
    neurons: Mapped[int]
    scored: Mapped[int]
    """Neurons with a defined score."""
    total: Mapped[float]
    """Sum of the scores."""
    squares: Mapped[float]
    """Sum of the squared scores."""
    compared: Mapped[int]
    """Neurons with a defined score whose token table has a defined score on the same tokens too."""
    above: Mapped[int]
    """The compared neurons whose score is higher than that of the token table."""
    margin: Mapped[float]
    """Sum of their scores minus those of the token table."""


class CallCount(CountRow):
    """Sums of the calls to a language model on one day (UTC), for one method and one person."""

    __tablename__ = "call_count"
    __table_args__ = (Index("ix_call_count_day", "day"),)
    KEYS = ("day", "provider", "method_id", "account_id", "is_scoring")
    SUMS = ("calls", "tokens_in", "tokens_cached", "tokens_out", "price", "price_estimated")

    day: Mapped[date]
    provider: Mapped[str]
    method_id: Mapped[int | None] = mapped_column(BigInteger)
    account_id: Mapped[int | None] = mapped_column(BigInteger)
    is_scoring: Mapped[bool]
    """Whether the run was queued to score a given explanation rather than to explain."""
    calls: Mapped[int]
    tokens_in: Mapped[int] = mapped_column(BigInteger)
    tokens_cached: Mapped[int] = mapped_column(BigInteger)
    tokens_out: Mapped[int] = mapped_column(BigInteger)
    price: Mapped[float]
    price_estimated: Mapped[float]
    """The part of the price that is estimated by this program."""


COUNT_TABLES: tuple[type[CountRow], ...] = (
    RunCount,
    ChangeCount,
    NeuronCount,
    RankCount,
    TableCount,
    DoubtedCount,
    MethodCount,
    CallCount,
)
