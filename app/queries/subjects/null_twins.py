"""What the same methods reach on a subject's null twin: the distribution that a score is held against.

Only scores by one simulator are compared.
"""

from dataclasses import dataclass

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session, aliased

from app.models import Neuron, Subject

HIGH = 0.95
"""The quantile that a layer's line shows after the median."""


@dataclass(frozen=True, slots=True)
class TwinLayer:
    """The scores of one layer of a null twin. ``median`` and ``high`` (the .95 quantile) are None without scores."""

    layer: int
    n_scored: int
    median: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class TwinStanding:
    """The rank of a score among those of the null twin's neurons of the same layer."""

    slug: str
    n_scored: int
    n_at_least: int
    """Neurons of the twin whose explanation scores as high or higher."""

    @property
    def share_at_least(self) -> float:
        """The chance that a method scores as high on a neuron without meaning: (n_at_least + 1) / (n_scored + 1).

        One is added on both sides, so that no finite control proves a chance of 0. Source: Phipson and Smyth,
        "Permutation p-values should never be zero" (2010).
        """
        return (self.n_at_least + 1) / (self.n_scored + 1)


def null_twin_layers(session: Session, *, subject_id: int, simulator: str) -> tuple[TwinLayer, ...]:
    """The scores by one simulator in each layer of a subject's null twin; empty where it has no twin. One query."""
    own = case((Neuron.current_simulator == simulator, Neuron.current_score))
    quantiles = [func.percentile_cont(q).within_group(own) for q in (0.5, HIGH)]
    rows = session.execute(
        select(Neuron.layer, func.count(own), *quantiles)
        .join(Subject, Subject.id == Neuron.subject_id)
        .where(Subject.null_twin_of_id == subject_id)
        .group_by(Neuron.layer)
        .order_by(Neuron.layer)
    )
    return tuple(TwinLayer(*row) for row in rows)


def null_twin_standing(session: Session, *, neuron_id: int) -> TwinStanding | None:
    """The rank of the neuron's current score among its layer of the null twin, scored by the same simulator.

    None without a score or a scored twin. One query.
    """
    own, peer = aliased(Neuron), aliased(Neuron)
    row = session.execute(
        select(Subject.slug, func.count(), func.count().filter(peer.current_score >= own.current_score))
        .select_from(own)
        .join(Subject, Subject.null_twin_of_id == own.subject_id)
        .join(peer, (peer.subject_id == Subject.id) & (peer.layer == own.layer))
        .where(own.id == neuron_id, own.current_score.is_not(None), peer.current_score.is_not(None))
        .where(peer.current_simulator == own.current_simulator)
        .group_by(Subject.slug)
        .order_by(Subject.slug)
        .limit(1)
    ).first()
    return None if row is None else TwinStanding(*row)
