"""Automatic doubts about explanations, derived from stored facts."""

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.doubts import Doubt
from app.models.base import Base, one_of


class ExplanationDoubt(Base):
    """A doubt about an explanation, with its figure.

    Derived by the rules of ``app.domain.doubt_rules`` and replaced whenever the rules are applied again: see
    ``app.queries.doubts.store``. Subject and neuron are repeated, so that lists, counts and campaigns need no join.
    """

    __tablename__ = "explanation_doubt"
    __table_args__ = (
        one_of("doubt", Doubt),
        CheckConstraint("(low IS NULL) = (high IS NULL)", name="interval"),
        Index("ix_explanation_doubt_neuron_id", "neuron_id"),
        Index(
            "ix_explanation_doubt_current",
            "subject_id",
            "doubt",
            "neuron_id",
            postgresql_where=text("is_current"),
            postgresql_include=["explanation_id"],
        ),
    )

    explanation_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("explanation.id"), primary_key=True)
    doubt: Mapped[str] = mapped_column(primary_key=True)
    figure: Mapped[float]
    """The figure that raised the doubt, in the unit of ``Doubt.figure_kind``."""
    low: Mapped[float | None]
    high: Mapped[float | None]
    """The upper bound of the figure's 95 % interval, if it has one; ``low`` is the lower bound."""
    subject_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("subject.id"))
    neuron_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("neuron.id"))
    is_current: Mapped[bool]
    """Whether the explanation is the one shown first for its neuron."""
