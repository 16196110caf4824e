"""The scores of the same methods on a subject's null twin: the distribution with which a score is compared.

Only scores of one kind by one simulator are compared: a whole-corpus headline with the twin's headlines, a headline
that is the 2023 score with the twin's 2023 scores.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, select, text
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.domain.headlines import HeadlineKind
from app.domain.standing import SCORE_2023
from app.models import Subject

HIGH = 0.95
"""The quantile that is shown for each layer beside the median."""


@dataclass(frozen=True, slots=True)
class TwinLayer:
    """The scores of one layer of a subject and of its null twin.

    ``median`` and ``high`` (the .95 quantile) are the twin's; medians and quantiles are None without scores.
    """

    layer: int
    n_scored: int
    """Scored neurons of the twin."""
    median: float | None
    high: float | None
    n_own: int
    own_median: float | None
    n_above: int
    """Neurons of the subject above the twin's .95 quantile."""

    @property
    def share_above(self) -> float | None:
        """Share of the subject's scored neurons above the twin's .95 quantile; .05 is expected by chance."""
        return self.n_above / self.n_own if self.n_own and self.high is not None else None


@dataclass(frozen=True, slots=True)
class TwinStanding:
    """The rank of a score among those of the null twin's neurons of the same layer."""

    slug: str
    n_scored: int
    n_at_least: int
    """Neurons of the twin with the same or a higher score."""

    @property
    def percentile(self) -> float:
        """Share of the twin's neurons with a lower score."""
        return 1 - self.n_at_least / self.n_scored


def of_no_null_twin(subject_id: ColumnElement[int] | InstrumentedAttribute[int]) -> ColumnElement[bool]:
    """Condition that a column's subject is not a null twin. Figures over all subjects exclude null twins."""
    return subject_id.in_(select(Subject.id).where(Subject.null_twin_of_id.is_(None)))


_IS_OF_KIND = """CASE
    WHEN :scorer = :scorer_2023 AND current_simulator IS NOT DISTINCT FROM CAST(:simulator AS text) THEN current_score
    WHEN headline_scorer = :scorer AND headline_simulator IS NOT DISTINCT FROM CAST(:simulator AS text)
        THEN headline_score
END"""
_LAYERS = text(f"""
    WITH twin AS (
        SELECT layer, count(own) AS n_scored, percentile_cont(0.5) WITHIN GROUP (ORDER BY own) AS median,
            percentile_cont(CAST(:high AS double precision)) WITHIN GROUP (ORDER BY own) AS high
        FROM (
            SELECT layer, {_IS_OF_KIND} AS own
            FROM neuron WHERE subject_id = (SELECT max(id) FROM subject WHERE null_twin_of_id = :subject_id)
        ) AS peer GROUP BY layer
    ), mine AS (
        SELECT layer, {_IS_OF_KIND} AS own FROM neuron WHERE subject_id = :subject_id
    )
    SELECT twin.layer, n_scored, median, high, count(own) AS n_own,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY own) AS own_median, count(*) FILTER (WHERE own > high) AS n_above
    FROM twin LEFT JOIN mine ON mine.layer = twin.layer
    GROUP BY twin.layer, n_scored, median, high ORDER BY twin.layer
""")  # noqa: S608 - constants of this file
_RANK = text("""
    WITH twin AS (
        SELECT null_twin_of_id AS subject_id, max(id) AS id FROM subject
        WHERE null_twin_of_id IS NOT NULL GROUP BY null_twin_of_id
    ), peer AS (
        SELECT twin.subject_id, NULL::bigint AS neuron_id, layer, headline_scorer AS scorer,
            headline_simulator AS simulator, headline_score AS score
        FROM twin JOIN neuron ON neuron.subject_id = twin.id WHERE headline_score IS NOT NULL
        UNION ALL
        SELECT twin.subject_id, NULL, layer, :scorer_2023, current_simulator, current_score
        FROM twin JOIN neuron ON neuron.subject_id = twin.id WHERE current_score IS NOT NULL
        UNION ALL
        SELECT twin.subject_id, neuron.id, layer, headline_scorer, headline_simulator, headline_score
        FROM twin JOIN neuron ON neuron.subject_id = twin.subject_id WHERE headline_score IS NOT NULL
        UNION ALL
        SELECT twin.subject_id, neuron.id, layer, :scorer_2023, current_simulator, current_score
        FROM twin JOIN neuron ON neuron.subject_id = twin.subject_id
        WHERE headline_score IS NULL AND current_score IS NOT NULL
    ), counted AS (
        SELECT neuron_id, count(*) FILTER (WHERE neuron_id IS NULL) OVER same AS n,
            count(*) FILTER (WHERE neuron_id IS NULL) OVER (
                same ORDER BY score GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS below
        FROM peer WINDOW same AS (PARTITION BY subject_id, layer, scorer, simulator)
    ), ranked AS (
        SELECT neuron.id, counted.below::double precision / nullif(counted.n, 0) AS percentile
        FROM neuron LEFT JOIN counted ON counted.neuron_id = neuron.id
        WHERE neuron.subject_id IN (SELECT subject_id FROM twin)
    ), changed AS (
        SELECT ranked.* FROM ranked JOIN neuron USING (id) WHERE twin_percentile IS DISTINCT FROM percentile
        ORDER BY id FOR NO KEY UPDATE OF neuron SKIP LOCKED
    )
    UPDATE neuron SET twin_percentile = changed.percentile FROM changed WHERE neuron.id = changed.id
""").bindparams(scorer_2023=SCORE_2023.scorer)


def null_twin_layers(
    session: Session, *, subject_id: int, kind: HeadlineKind, simulator: str | None
) -> tuple[TwinLayer, ...]:
    """The scores of one kind by one simulator in each layer of a subject and of its newest null twin.

    Empty if it has no twin. One query.
    """
    row = {
        "subject_id": subject_id,
        "scorer": kind.name_of_score.scorer,
        "scorer_2023": SCORE_2023.scorer,
        "simulator": simulator,
        "high": HIGH,
    }
    return tuple(TwinLayer(*found) for found in session.execute(_LAYERS, row))


def rank_against_null_twins(session: Session) -> None:
    """Update ``neuron.twin_percentile`` for every subject that has a null twin; of several twins the newest counts.

    A score of a twin's neuron affects all neurons of the layer, so this is called from time to time rather than after
    each run. Neurons that another transaction is changing are updated by the next call.
    """
    session.execute(_RANK)
