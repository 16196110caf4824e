"""Two methods on the neurons that both have explained."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import ARRAY, ColumnElement, Double, Join, Subquery, func, literal, select
from sqlalchemy.orm import Session

from app.domain.means import mean_of_sums
from app.domain.plots import SCORES, Cell, Grid
from app.domain.scores import Estimate
from app.models import MethodStanding, Neuron, Subject
from app.queries.methods.figures import MethodFigures
from app.queries.subjects.null_twins import of_no_null_twin

SHOWN_PAIRS = 50
EDGES = literal(list(SCORES.edges), ARRAY(Double))
"""Where the bins of a score begin, as ``width_bucket`` takes them."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A neuron that two methods have explained, with a score of each."""

    subject: str
    layer: int
    index: int
    first: float
    second: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two methods on the neurons that both have explained; ``difference`` is second minus first."""

    is_whole_corpus: bool
    """The kind of all scores here: whole-corpus scores where any neuron has them of both methods, else 2023 scores."""
    n: int
    n_second_better: int
    difference: Estimate
    pairs: tuple[Pair, ...]
    """The neurons whose two scores are furthest apart, of all or of one cell of the grid."""
    grid: Grid
    """All of them, by the bins of both scores."""


def compare_methods(
    session: Session,
    *,
    first: MethodFigures,
    second: MethodFigures,
    cell: tuple[int, int] | None = None,
    shown: int = SHOWN_PAIRS,
) -> Comparison:
    """Paired scores of two methods over all subjects but null twins, all of one kind.

    With ``cell``, one of the grid, its pairs are shown alone. At most three queries.
    """
    for is_whole_corpus in (True, False):
        pairs = _Pairs.of(first, second, is_whole_corpus)
        cells = pairs.cells(session)
        if cells or not is_whole_corpus:
            break
    n = sum(each.n for each in cells)
    return Comparison(
        is_whole_corpus,
        n,
        sum(each.n_better for each in cells),
        mean_of_sums(n, sum(each.total for each in cells), sum(each.squares for each in cells)),
        pairs.furthest(session, cell, shown) if n else (),
        _grid((first, second), n, [Cell(each.x, each.y, each.n) for each in cells]),
    )


@dataclass(frozen=True, slots=True)
class _CellOfPairs:
    """The neurons in a cell of the grid: their number, that of those where the second is better, sums of the gaps."""

    x: int
    y: int
    n: int
    n_better: int
    total: float
    squares: float


@dataclass(frozen=True, slots=True)
class _Pairs:
    """The neurons that two methods have explained, with a score of each."""

    first: Subquery
    second: Subquery

    @classmethod
    def of(cls, first: MethodFigures, second: MethodFigures, is_whole_corpus: bool) -> "_Pairs":
        """Scores of one kind."""
        return cls(_scored(first, is_whole_corpus), _scored(second, is_whole_corpus))

    @property
    def _both(self) -> Join:
        return self.first.join(self.second, self.second.c.neuron_id == self.first.c.neuron_id)

    @property
    def _gap(self) -> ColumnElement[float]:
        return self.second.c.value - self.first.c.value

    @property
    def _bins(self) -> tuple[ColumnElement[int], ColumnElement[int]]:
        return func.width_bucket(self.first.c.value, EDGES), func.width_bucket(self.second.c.value, EDGES)

    def cells(self, session: Session) -> list[_CellOfPairs]:
        """All of them by the bins of both scores. One query."""
        (x, y), gap = self._bins, self._gap
        sums = (func.count(), func.count().filter(gap > 0), func.sum(gap), func.sum(gap * gap))
        rows = session.execute(select(x, y, *sums).select_from(self._both).group_by(x, y).order_by(x, y))
        return [_CellOfPairs(*row) for row in rows]

    def furthest(self, session: Session, cell: tuple[int, int] | None, limit: int) -> tuple[Pair, ...]:
        """The neurons whose two scores are furthest apart, of all or of one cell. One query."""
        neurons = self._both.join(Neuron, Neuron.id == self.first.c.neuron_id)
        statement = (
            select(Subject.slug, Neuron.layer, Neuron.index, self.first.c.value, self.second.c.value)
            .select_from(neurons.join(Subject, Subject.id == Neuron.subject_id))
            .order_by(func.abs(self._gap).desc(), Neuron.id)
            .limit(limit)
        )
        if cell is not None:
            x, y = self._bins
            statement = statement.where(x == cell[0], y == cell[1])
        return tuple(Pair(*row) for row in session.execute(statement))


def _grid(methods: Sequence[MethodFigures], n: int, cells: Sequence[Cell]) -> Grid:
    x, y = (replace(SCORES, label=f"{each.name} v{each.version}") for each in methods)
    return Grid(x, y, n, tuple(cells), None)


def _scored(method: MethodFigures, is_whole_corpus: bool) -> Subquery:
    """The neurons that a method has explained, with a score of one kind; 2023 scores are by its own simulator."""
    found = select(MethodStanding.neuron_id, MethodStanding.score.label("value")).where(
        MethodStanding.method_id == method.id,
        MethodStanding.is_whole_corpus.is_(is_whole_corpus),
        MethodStanding.score.is_not(None),
        of_no_null_twin(MethodStanding.subject_id),
    )
    if not is_whole_corpus:
        found = found.where(MethodStanding.simulator == method.simulator_name)
    return found.subquery()
