"""Methods, explanations, simulations and scores. Rows are never updated or deleted.

Which of several explanations and scores represents a neuron is derived and stored in ``method_standing`` and in the
``current_*`` columns of ``neuron``.
"""

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    UniqueConstraint,
)
from sqlalchemy import (
    text as sql,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.activations import SampleKind, Split
from app.domain.authors import AuthorKind
from app.models.base import Base, BigId, CreatedAt, one_of


class Method(Base):
    """Explainer, simulator, scorers, provider and parameters, under a name and a version."""

    __tablename__ = "method"
    __table_args__ = (UniqueConstraint("name", "version"),)

    id: Mapped[BigId]
    name: Mapped[str]
    version: Mapped[int]
    label: Mapped[str]
    explainer: Mapped[str]
    simulator: Mapped[str]
    scorers: Mapped[list[str]] = mapped_column(JSONB)
    provider: Mapped[str | None]
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=sql("'{}'::jsonb"))
    created_at: Mapped[CreatedAt]


class Explanation(Base):
    """A text that claims what a neuron fires on or does."""

    __tablename__ = "explanation"
    __table_args__ = (
        one_of("author_kind", AuthorKind),
        CheckConstraint("rank >= 0", name="rank"),
        Index("ix_explanation_neuron_id", "neuron_id"),
        Index("uq_explanation_run_id_rank", "run_id", "rank", unique=True),
        Index("ix_explanation_account_id", "account_id", postgresql_where=sql("account_id IS NOT NULL")),
        Index(
            "ix_explanation_author_kind",  # explanations by methods are found through ``method_standing``
            "author_kind",
            "neuron_id",
            postgresql_where=sql(f"author_kind <> '{AuthorKind.METHOD}'"),
        ),
    )

    id: Mapped[BigId]
    neuron_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("neuron.id"))
    text: Mapped[str]
    author_kind: Mapped[str]
    author: Mapped[str]
    method_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("method.id"))
    run_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("run.id"))
    rank: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    """The candidate's rank in the method's own order; the candidate of rank 0 represents the run."""
    collection_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("collection.id"))
    """The collection whose records were shown to the author; NULL if none were, or not known."""
    account_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("account.id"))
    provenance: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=sql("'{}'::jsonb"))
    created_at: Mapped[CreatedAt]


class Simulation(Base):
    """A simulator's expected activations (0..10) for one explanation on one sample's excerpts.

    ``expected`` is concatenated float16 like ``sample.activations``; an excerpt whose simulation
    failed is NaN throughout and has its reason in ``failures`` under its index ("0", "1", ...).
    """

    __tablename__ = "simulation"
    __table_args__ = (
        one_of("kind", SampleKind),
        one_of("split", Split),
        CheckConstraint("unit > 0", name="unit"),
        Index("ix_simulation_explanation_id", "explanation_id"),
    )

    id: Mapped[BigId]
    explanation_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("explanation.id"))
    method_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("method.id"))
    run_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("run.id"))
    collection_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("collection.id"))
    simulator: Mapped[str]
    """The simulator's name including its calibration: ``structured+linear``."""
    kind: Mapped[str]
    split: Mapped[str]
    unit: Mapped[float]
    """The activation, in the model's units, that an expected activation of 1 corresponds to."""
    excerpt_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    expected: Mapped[bytes] = mapped_column(LargeBinary)
    distributions: Mapped[bytes | None] = mapped_column(LargeBinary)
    """float16 [tokens, 11]: the probability of each number 0..10, NaN for an excerpt whose simulation failed."""
    uncalibrated: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The expected activations before the calibration, laid out like ``expected``."""
    failures: Mapped[dict[str, str]] = mapped_column(JSONB, server_default=sql("'{}'::jsonb"))
    created_at: Mapped[CreatedAt]


class Score(Base):
    """A scorer's number with everything needed to judge it."""

    __tablename__ = "score"
    __table_args__ = (
        CheckConstraint("(value IS NULL) <> (undefined_reason IS NULL)", name="value_or_reason"),
        Index("ix_score_explanation_id", "explanation_id"),
    )

    id: Mapped[BigId]
    explanation_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("explanation.id"))
    method_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("method.id"))
    run_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("run.id"))
    collection_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("collection.id"))
    """The collection whose records were scored; NULL if not known."""
    scorer: Mapped[str]
    sample: Mapped[str]
    """The records it describes: ``top_and_random``, ``random``, ``top``..."""
    simulator: Mapped[str | None]
    """The simulator whose expected activations were scored, with its calibration; NULL for a scorer that uses none."""
    value: Mapped[float | None]
    undefined_reason: Mapped[str | None]
    interval_low: Mapped[float | None]
    interval_high: Mapped[float | None]
    n_valid: Mapped[int] = mapped_column(BigInteger)
    """Number of valid excerpts, or of all tokens of the corpus for an executed explanation."""
    n_failed: Mapped[int]
    token_lookup_baseline: Mapped[float | None]
    shuffled_baseline: Mapped[float | None]
    chance: Mapped[float | None]
    origin: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    """What a file said of an imported score besides its numbers: ``method`` and ``created_at``. NULL for all others."""
    created_at: Mapped[CreatedAt]


class MethodStanding(Base):
    """A method's explanation of a neuron, and a score that represents it: one row for each of two kinds of score.

    One row has the whole-corpus score, executed if possible, otherwise estimated; the other has the 2023 score. A score
    is NULL if the explanation has none of the kind. Derived by the rules of ``app.domain.standing`` whenever an
    explanation or score of the neuron is stored, so that the figures of methods are read from one narrow table.
    """

    __tablename__ = "method_standing"

    method_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("method.id"), primary_key=True)
    neuron_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("neuron.id"), primary_key=True)
    is_whole_corpus: Mapped[bool] = mapped_column(primary_key=True)
    """The kind of score; see ``app.domain.headlines``."""
    subject_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("subject.id"))
    """The neuron's subject. It is repeated here since figures of methods exclude null twins."""
    explanation_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("explanation.id"))
    score_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("score.id"))
    score: Mapped[float | None]
    simulator: Mapped[str | None]
    token_table: Mapped[float | None]
    """The score of the neuron's token table on the same tokens."""
