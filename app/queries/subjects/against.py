"""Two subjects on the same corpus, compared neuron by neuron: two versions of a model, or a null twin."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from app.domain.means import mean_of_sums
from app.domain.scores import Estimate
from app.models import Collection, Neuron, Subject

SHOWN = 50


@dataclass(frozen=True, slots=True)
class LayerPairs:
    """The neurons of one layer that both subjects have. Differences are the second's value minus the first's."""

    layer: int
    n_explained: int
    """Neurons explained in both subjects."""
    n_same_text: int
    """Neurons that have the same explanation in both, word for word."""
    n_scored: int
    """Neurons explained in both whose headlines have the same scorer and simulator; only these are compared."""
    n_higher: int
    """Compared neurons that score higher in the second subject."""
    difference: Estimate


@dataclass(frozen=True, slots=True)
class SubjectPair:
    """A neuron that both subjects have, with the explanation shown first in each."""

    layer: int
    index: int
    first_text: str
    second_text: str
    first: float
    second: float


@dataclass(frozen=True, slots=True)
class SubjectsCompared:
    """Two subjects compared by the neurons at the same (layer, index)."""

    same_corpus: bool
    """Whether both were read on the same corpus; if not, differences may come from the corpora."""
    same_shape: bool
    all: LayerPairs
    """The sums over all layers; ``layer`` is -1."""
    layers: tuple[LayerPairs, ...]
    pairs: tuple[SubjectPair, ...]
    """The pairs with the largest differences."""


def subjects_compared(session: Session, *, first: int, second: int) -> SubjectsCompared:
    """A comparison of two subjects by id. Three queries; pairs are read from the index on (layer, index)."""
    one, other = aliased(Neuron), aliased(Neuron)
    both = (
        one.subject_id == first,
        other.subject_id == second,
        one.layer == other.layer,
        one.index == other.index,
        one.current_explanation_id.is_not(None),
        other.current_explanation_id.is_not(None),
    )
    comparable = and_(
        one.headline_scorer == other.headline_scorer,
        one.headline_simulator.is_not_distinct_from(other.headline_simulator),
    )
    gap = other.headline_score - one.headline_score
    rows = session.execute(_by_layer(one.layer, both, comparable, gap, one.current_text == other.current_text)).all()
    sums = [_Sums(*row) for row in rows]
    furthest = session.execute(
        select(one.layer, one.index, one.current_text, other.current_text, one.headline_score, other.headline_score)
        .where(*both, comparable, gap.is_not(None))
        .order_by(func.abs(gap).desc(), one.layer, one.index)
        .limit(SHOWN)
    )
    rows_of_pairs: list[Any] = list(furthest)  # the conditions leave only rows with both texts and both scores
    corpora, shapes = _facts(session, (first, second))
    return SubjectsCompared(
        same_corpus=len(corpora) == 1 and None not in corpora,
        same_shape=len(shapes) == 1,
        all=_Sums.total(sums).pairs,
        layers=tuple(each.pairs for each in sums),
        pairs=tuple(SubjectPair(*values) for values in rows_of_pairs),
    )


@dataclass(frozen=True, slots=True)
class _Sums:
    """The sums of one layer. Sums of layers can be added."""

    layer: int
    n_explained: int
    n_same_text: int
    n_scored: int
    n_higher: int
    total_gap: float
    squares: float

    @classmethod
    def total(cls, layers: "list[_Sums]") -> "_Sums":
        names = ("n_explained", "n_same_text", "n_scored", "n_higher", "total_gap", "squares")
        return cls(-1, *(sum(getattr(each, name) for each in layers) for name in names))

    @property
    def pairs(self) -> LayerPairs:
        difference = mean_of_sums(self.n_scored, self.total_gap, self.squares)
        return LayerPairs(self.layer, self.n_explained, self.n_same_text, self.n_scored, self.n_higher, difference)


def _by_layer(
    layer: InstrumentedAttribute[int],
    both: tuple[ColumnElement[bool], ...],
    comparable: ColumnElement[bool],
    gap: ColumnElement[Any],
    same_text: ColumnElement[bool],
) -> Select[*tuple[Any, ...]]:
    scored = and_(comparable, gap.is_not(None))
    return (
        select(
            layer,
            func.count(),
            func.count().filter(same_text),
            func.count().filter(scored),
            func.count().filter(scored, gap > 0),
            func.coalesce(func.sum(gap).filter(scored), 0.0),
            func.coalesce(func.sum(gap * gap).filter(scored), 0.0),
        )
        .where(*both)
        .group_by(layer)
        .order_by(layer)
    )


def _facts(session: Session, subject_ids: tuple[int, int]) -> tuple[set[int | None], set[tuple[int, int]]]:
    rows = session.execute(
        select(Collection.corpus_id, Subject.n_layers, Subject.neurons_per_layer)
        .select_from(Subject)
        .outerjoin(Collection, Collection.id == Subject.collection_id)
        .where(Subject.id.in_(subject_ids))
    ).all()
    return {row.corpus_id for row in rows}, {(row.n_layers, row.neurons_per_layer) for row in rows}
