"""Automatic doubts about explanations, derived from what is stored of them."""

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.doubts import Doubt
from app.models.base import Base, one_of


class ExplanationDoubt(Base):
    """A doubt about an explanation, with its figure.

    Derived by the rules of ``app.domain.doubts`` and replaced whenever they are applied again: see
    ``app.queries.doubts.store``. Lists, counts and review campaigns read it; its subject and neuron are repeated so
    that they read nothing else.
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
    """What the doubt follows from, in the unit that ``Doubt.figure_kind`` names."""
    low: Mapped[float | None]
    high: Mapped[float | None]
    """The figure's 95 % interval, where it has one."""
    subject_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("subject.id"))
    neuron_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("neuron.id"))
    is_current: Mapped[bool]
    """Whether the explanation is the one that is shown first for its neuron."""
