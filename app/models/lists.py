"""Named lists of neurons, and saved searches."""

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, BigId, CreatedAt


class NeuronList(Base):
    """A named list of neurons of one subject, in an order chosen by a person."""

    __tablename__ = "neuron_list"
    __table_args__ = (
        UniqueConstraint("account_id", "subject_id", "name"),
        Index("ix_neuron_list_subject_id", "subject_id"),
    )

    id: Mapped[BigId]
    subject_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("subject.id"))
    account_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("account.id"))
    """The account that made the list; only its person may change it."""
    name: Mapped[str]
    created_at: Mapped[CreatedAt]


class ListedNeuron(Base):
    """A neuron of a list. Positions are 1, 2, 3, ... without gaps."""

    __tablename__ = "listed_neuron"
    __table_args__ = (
        Index("ix_listed_neuron_position", "list_id", "position"),
        Index("ix_listed_neuron_neuron_id", "neuron_id"),
    )

    list_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("neuron_list.id", ondelete="CASCADE"), primary_key=True)
    neuron_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("neuron.id"), primary_key=True)
    position: Mapped[int]
    note: Mapped[str] = mapped_column(server_default="")


class SavedSearch(Base):
    """A saved search: the address of a search or of a filtered list, under a name."""

    __tablename__ = "saved_search"
    __table_args__ = (UniqueConstraint("account_id", "name"),)

    id: Mapped[BigId]
    account_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("account.id"))
    name: Mapped[str]
    address: Mapped[str]
    """A path of this site with its query string."""
