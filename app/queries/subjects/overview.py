"""The content of the home page: subjects, the number of neurons explained, and current work."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import BigInteger, cast, func, select
from sqlalchemy.orm import Session

from app.domain.doubts import Doubt
from app.domain.sites import Site, SiteKind
from app.models import Collection, Corpus, DataImport, NeuronCount, Subject, TableCount
from app.queries.common.prepared import PendingRows, PreparedSelect, Reads, one_statement
from app.queries.doubts.shown import DOUBT_SUMS, DoubtCount, doubts_by_subject
from app.queries.explanations.judged import DISPUTED
from app.queries.runs.active import WITHOUT_EXPLANATION
from app.queries.runs.counts import ACTIVE_RUNS, ActiveCount
from app.queries.subjects.unfinished import UNFINISHED, UnfinishedCollection
from app.queries.work.pauses import PAUSES, CurrentPause
from app.queries.work.tasks import ACTIVE_TASKS, ActiveTasks
from app.queries.work.workers import WORKERS_ALIVE, WorkerSeen

SCORE_BINS = 20
"""Number of equal bins of a score histogram over 0..1, as in ``score_bin`` of the migration.

An additional first bin is for scores below 0.
"""


@dataclass(frozen=True, slots=True)
class LayerScores:
    """The score histogram of one layer by one simulator. ``counts`` has 1 + SCORE_BINS entries."""

    layer: int
    counts: tuple[int, ...]

    @property
    def n_scored(self) -> int:
        """Neurons of the layer with a score by the simulator."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class ScoreCounts:
    """The scores by one simulator. Scores by others are counted separately, since they are not comparable."""

    is_headline: bool
    """Whether these are whole-corpus scores; otherwise they are 2023 scores."""
    simulator: str
    n_scored: int
    layers: tuple[LayerScores, ...]

    @property
    def total(self) -> tuple[int, ...]:
        """The counts of all layers together."""
        return tuple(map(sum, zip(*(layer.counts for layer in self.layers), strict=True)))

    def rows(self, path: str, fields: str) -> list[tuple[str, tuple[int, ...], str]]:
        """A name, the counts and the beginning of a URL for each layer."""
        return [(f"layer {each.layer}", each.counts, f"{path}?layer={each.layer}&{fields}&") for each in self.layers]


@dataclass(frozen=True, slots=True)
class TablePair:
    """The number of neurons with a score in one bin and a token table's score in another."""

    own: int
    table: int
    n: int


@dataclass(frozen=True, slots=True)
class SubjectSummary:
    """One subject as the home page shows it."""

    slug: str
    name: str
    architecture: str
    site: Site
    n_layers: int
    neurons_per_layer: int
    n_neurons: int
    n_explained: int
    n_flagged: int
    n_doubtful: int
    n_disputed: int
    """Neurons on whose explanation reviewers disagreed, as far as that may be shown."""
    n_rejected: int
    """Neurons that need an explanation, since reviewers rejected those they had."""
    n_no_explanation: int
    """Unexplained neurons of which a method found nothing worth saying."""
    doubts: tuple[DoubtCount, ...]
    """Doubts about current explanations, the most frequent first."""
    corpus: str | None
    tokens: int | None
    scores: tuple[ScoreCounts, ...]
    """Kinds of scores, those of most neurons first."""
    against_table: tuple[TablePair, ...]
    """Neurons by the bins of their whole-corpus score and of their token table's score."""

    def count_of(self, doubt: str) -> int:
        """The number of neurons with a doubt about their current explanation. Raises ValueError for an unknown one."""
        return next((found.number for found in self.doubts if found.doubt is Doubt(doubt)), 0)


@dataclass(frozen=True, slots=True)
class PauseShown:
    """A provider whose work waits for an outage to end."""

    provider: str
    reason: str
    since: datetime
    until: datetime | None
    """None if a person must end the pause."""


@dataclass(frozen=True, slots=True)
class SubjectShown:
    """The columns of a subject."""

    id: int
    slug: str
    name: str
    architecture: str
    site: Site
    n_layers: int
    neurons_per_layer: int
    corpus: str | None
    tokens: int | None
    n_imported: int | None
    """Neurons from imports."""

    @property
    def n_neurons(self) -> int:
        """For a subject known from imports only, the number of imported neurons: files need not have every index."""
        if self.site.kind is SiteKind.IMPORTED and self.n_imported is not None:
            return self.n_imported
        return self.n_layers * self.neurons_per_layer


_SUBJECTS = PreparedSelect(
    SubjectShown,
    select(
        Subject.id,
        Subject.slug,
        Subject.name,
        Subject.architecture,
        Subject.site,
        Subject.n_layers,
        Subject.neurons_per_layer,
        Corpus.name.label("corpus"),
        Collection.tokens_done.label("tokens"),
        select(cast(func.sum(DataImport.counts["new_neurons"].as_integer()), BigInteger))
        .where(DataImport.subject_id == Subject.id)
        .scalar_subquery()
        .label("n_imported"),
    )
    .outerjoin(Collection, Collection.id == Subject.collection_id)
    .outerjoin(Corpus, Corpus.id == Collection.corpus_id)
    .order_by(Subject.name, Subject.id),
)


@dataclass(frozen=True, slots=True)
class TablePairOfSubject:
    """A pair of bins of a subject; NULL without a score."""

    subject_id: int
    own: int | None
    table: int | None
    n: int


_PAIR, _PAIRED = (TableCount.subject_id, TableCount.bin, TableCount.table_bin), func.sum(TableCount.neurons)
_TABLE_PAIRS = PreparedSelect(
    TablePairOfSubject,
    select(TableCount.subject_id, TableCount.bin.label("own"), TableCount.table_bin.label("table"), _PAIRED.label("n"))
    .group_by(*_PAIR)
    .having(_PAIRED > 0)
    .order_by(*_PAIR),
)
"""The neurons of every subject by the bins of their headline and of their token table."""


@dataclass(frozen=True, slots=True)
class Activity:
    """The workers, the waiting work with the reason, and the running collections."""

    workers: tuple[WorkerSeen, ...]
    pauses: tuple[PauseShown, ...]
    collections: tuple[UnfinishedCollection, ...]
    queue: ActiveCount
    tasks: ActiveTasks


@dataclass(frozen=True, slots=True)
class _PendingActivity:
    """An ``Activity``, available after the round trip."""

    workers: PendingRows[WorkerSeen]
    pauses: PendingRows[CurrentPause]
    collections: PendingRows[UnfinishedCollection]
    queue: PendingRows[ActiveCount]
    tasks: PendingRows[ActiveTasks]

    def found(self) -> Activity:
        """The activity."""
        return Activity(
            workers=tuple(self.workers.rows),
            pauses=tuple(
                PauseShown(p.provider, p.reason, p.since, None if p.is_held else p.until) for p in self.pauses.rows
            ),
            collections=tuple(self.collections.rows),
            queue=self.queue.rows[0],
            tasks=self.tasks.rows[0],
        )


def _send_activity(asked: Reads) -> _PendingActivity:
    return _PendingActivity(
        asked.send(WORKERS_ALIVE.given()),
        asked.send(PAUSES.given()),
        asked.send(UNFINISHED.given()),
        asked.send(ACTIVE_RUNS.given()),
        asked.send(ACTIVE_TASKS.given()),
    )


def current_activity(session: Session) -> Activity:
    """The current activity. One query."""
    with one_statement(session) as asked:
        pending = _send_activity(asked)
    return pending.found()


@dataclass(frozen=True, slots=True)
class Overview:
    """All subjects, and the current activity."""

    subjects: tuple[SubjectSummary, ...]
    activity: Activity


def overview(session: Session) -> Overview:
    """All subjects with their counts, doubts and the score histogram of each layer, and current work. Two queries."""
    # A query of its own: for thousands of rows the driver reads columns faster than records.
    counted = _counted_neurons(session)
    with one_statement(session) as asked:
        subjects, pairs = asked.send(_SUBJECTS.given()), asked.send(_TABLE_PAIRS.given())
        doubts, disputed = asked.send(DOUBT_SUMS.given()), asked.send(DISPUTED.given())
        nothing = asked.send(WITHOUT_EXPLANATION.given())
        activity = _send_activity(asked)
    doubted, compared = doubts_by_subject(doubts.rows), _compared(pairs.rows)
    n_disputed = {row.subject_id: row.n for row in disputed.rows}
    n_without = {row.subject_id: row.n for row in nothing.rows}
    summaries = tuple(
        SubjectSummary(
            slug=row.slug,
            name=row.name,
            architecture=row.architecture,
            site=row.site,
            n_layers=row.n_layers,
            neurons_per_layer=row.neurons_per_layer,
            n_neurons=row.n_neurons,
            n_explained=counted[row.id].n_explained,
            n_flagged=counted[row.id].n_flagged,
            n_doubtful=counted[row.id].n_doubtful,
            n_disputed=n_disputed.get(row.id, 0),
            n_rejected=counted[row.id].n_rejected,
            n_no_explanation=n_without.get(row.id, 0),
            doubts=doubted.get(row.id, ()),
            corpus=row.corpus,
            tokens=row.tokens,
            scores=counted[row.id].by_simulator(row.n_layers),
            against_table=compared.get(row.id, ()),
        )
        for row in subjects.rows
    )
    return Overview(summaries, activity.found())


@dataclass(slots=True)
class _Counted:
    """The counts of a subject, summed while rows of ``neuron_count`` are read."""

    n_explained: int = 0
    n_flagged: int = 0
    n_doubtful: int = 0
    n_rejected: int = 0
    counts: dict[tuple[bool, str], dict[int, list[int]]] = field(default_factory=dict)
    """1 + SCORE_BINS numbers by kind of score, simulator and layer."""

    def by_simulator(self, n_layers: int) -> tuple[ScoreCounts, ...]:
        """The counts of each simulator in all layers of the subject, whole-corpus scores first."""
        found = [self._of(key, n_layers) for key in sorted(self.counts)]
        # A simulator whose scores were all replaced has sums of 0.
        scored = (scores for scores in found if scores.n_scored)
        return tuple(sorted(scored, key=lambda scores: (not scores.is_headline, -scores.n_scored)))

    def _of(self, key: tuple[bool, str], n_layers: int) -> ScoreCounts:
        nothing, counts = [0] * (1 + SCORE_BINS), self.counts[key]
        layers = tuple(LayerScores(layer, tuple(counts.get(layer, nothing))) for layer in range(n_layers))
        return ScoreCounts(*key, sum(layer.n_scored for layer in layers), layers)


def _counted_neurons(session: Session) -> dict[int, _Counted]:
    """The explained, flagged and scored neurons of every subject, by the subject's id."""
    table = NeuronCount.__table__.c
    groups, sums = [table[name] for name in NeuronCount.KEYS], [func.sum(table[name]) for name in NeuronCount.SUMS]
    counted: dict[int, _Counted] = defaultdict(_Counted)
    for row in session.execute(select(*groups, *sums).group_by(*groups)):
        subject_id, layer, is_headline, simulator, bin_of_score, explained, flagged, doubtful, rejected = row
        of_subject = counted[subject_id]
        of_subject.n_explained += explained
        of_subject.n_flagged += flagged
        of_subject.n_doubtful += doubtful
        of_subject.n_rejected += rejected
        if simulator is not None and bin_of_score is not None:
            by_layer = of_subject.counts.setdefault((is_headline, simulator), {})
            counts = by_layer.setdefault(layer, [0] * (1 + SCORE_BINS))
            counts[bin_of_score] += explained
    return counted


def _compared(rows: Iterable[TablePairOfSubject]) -> dict[int, tuple[TablePair, ...]]:
    """The pairs of scored neurons with a scored table, by the subject's id."""
    found = defaultdict[int, list[TablePair]](list)
    for row in rows:
        if row.own is not None and row.table is not None:
            found[row.subject_id].append(TablePair(row.own, row.table, row.n))
    return {subject_id: tuple(pairs) for subject_id, pairs in found.items()}
