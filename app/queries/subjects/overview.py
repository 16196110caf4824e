"""The first page's content: subjects, how far they are explained, and current work."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.doubts import Doubt
from app.domain.sites import Site
from app.domain.work import WorkStatus
from app.models import Collection, Corpus, NeuronCount, Pause, Subject, TableCount, Worker
from app.queries.doubts.shown import DoubtCount, doubt_counts
from app.queries.explanations.judged import n_disputed_by_subject
from app.queries.runs.active import n_without_explanation
from app.queries.runs.counts import total_counts
from app.queries.work.pauses import HELD
from app.queries.work.workers import is_alive

SCORE_BINS = 20
"""Equal bins of a score histogram over 0..1, as ``score_bin`` in the migration has them; one more, the first, holds
scores below 0."""


@dataclass(frozen=True, slots=True)
class LayerScores:
    """How the neurons of one layer score by one simulator. ``counts`` has 1 + SCORE_BINS entries."""

    layer: int
    counts: tuple[int, ...]

    @property
    def n_scored(self) -> int:
        """Neurons of the layer with a score by the simulator."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class ScoreCounts:
    """The scores by one simulator: those of another one are counted apart, since they are not comparable."""

    is_headline: bool
    """Whether they are over the whole corpus; else they are 2023 scores."""
    simulator: str
    n_scored: int
    layers: tuple[LayerScores, ...]

    @property
    def total(self) -> tuple[int, ...]:
        """The counts of all layers together."""
        return tuple(map(sum, zip(*(layer.counts for layer in self.layers), strict=True)))

    def rows(self, path: str, fields: str) -> list[tuple[str, tuple[int, ...], str]]:
        """A name, counts and the beginning of an address for each layer."""
        return [(f"layer {each.layer}", each.counts, f"{path}?layer={each.layer}&{fields}&") for each in self.layers]


@dataclass(frozen=True, slots=True)
class TablePair:
    """How many neurons have a score in one bin and a token table whose score is in another."""

    own: int
    table: int
    n: int


@dataclass(frozen=True, slots=True)
class SubjectSummary:
    """One subject as the first page shows it."""

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
    """Neurons about whose explanation reviewers disagreed, where that may be shown."""
    n_rejected: int
    """Neurons that need an explanation: reviewers have rejected what there was."""
    n_no_explanation: int
    """Unexplained neurons of which a method has found nothing worth saying."""
    doubts: tuple[DoubtCount, ...]
    """What neurons' current explanations are doubted for, the most frequent first."""
    corpus: str | None
    tokens: int | None
    scores: tuple[ScoreCounts, ...]
    """By the number of neurons that they scored, the largest first."""
    against_table: tuple[TablePair, ...]
    """Neurons by the bin of their whole-corpus score and that of their token table's."""

    def count_of(self, doubt: str) -> int:
        """The number of neurons with a doubt about their current explanation. Raises ValueError for an unknown one."""
        return next((found.number for found in self.doubts if found.doubt is Doubt(doubt)), 0)


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker that has shown itself lately."""

    host: str
    pid: int
    device: str
    doing: str
    n_finished: int
    started_at: datetime


@dataclass(frozen=True, slots=True)
class PauseShown:
    """A provider whose work waits for an outage to end."""

    provider: str
    reason: str
    since: datetime
    until: datetime | None
    """None where a person must end it."""


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """The number of runs that wait, and of those that a worker has."""

    queued: int
    running: int


def subject_summaries(session: Session) -> tuple[SubjectSummary, ...]:
    """All subjects with their counts, doubts and the score histogram of each layer. Seven queries."""
    rows = session.execute(
        select(Subject, Corpus.name.label("corpus"), Collection.tokens_done)
        .outerjoin(Collection, Collection.id == Subject.collection_id)
        .outerjoin(Corpus, Corpus.id == Collection.corpus_id)
        .order_by(Subject.name, Subject.id)
    ).all()
    counted, doubted, compared = _counted_neurons(session), doubt_counts(session), _against_tables(session)
    disputed, nothing = n_disputed_by_subject(session), n_without_explanation(session)
    return tuple(
        SubjectSummary(
            slug=row.Subject.slug,
            name=row.Subject.name,
            architecture=row.Subject.architecture,
            site=Site.from_json(row.Subject.site),
            n_layers=row.Subject.n_layers,
            neurons_per_layer=row.Subject.neurons_per_layer,
            n_neurons=row.Subject.n_layers * row.Subject.neurons_per_layer,
            n_explained=counted[row.Subject.id].n_explained,
            n_flagged=counted[row.Subject.id].n_flagged,
            n_doubtful=counted[row.Subject.id].n_doubtful,
            n_disputed=disputed.get(row.Subject.id, 0),
            n_rejected=counted[row.Subject.id].n_rejected,
            n_no_explanation=nothing.get(row.Subject.id, 0),
            doubts=doubted.get(row.Subject.id, ()),
            corpus=row.corpus,
            tokens=row.tokens_done,
            scores=counted[row.Subject.id].by_simulator(row.Subject.n_layers),
            against_table=compared.get(row.Subject.id, ()),
        )
        for row in rows
    )


@dataclass(slots=True)
class _Counted:
    """The neurons of a subject, added up while rows of ``neuron_count`` are read."""

    n_explained: int = 0
    n_flagged: int = 0
    n_doubtful: int = 0
    n_rejected: int = 0
    counts: dict[tuple[bool, str], dict[int, list[int]]] = field(default_factory=dict)
    """By kind of score, simulator and layer: 1 + SCORE_BINS numbers."""

    def by_simulator(self, n_layers: int) -> tuple[ScoreCounts, ...]:
        """The counts of each simulator in all layers of the subject, those over the whole corpus first."""
        found = [self._of(key, n_layers) for key in sorted(self.counts)]
        # The sums of a simulator whose last score was replaced by another one's are 0.
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


def _against_tables(session: Session) -> dict[int, tuple[TablePair, ...]]:
    """The neurons of every subject by the bins of their headline and of their token table, by the subject's id."""
    groups, total = (TableCount.subject_id, TableCount.bin, TableCount.table_bin), func.sum(TableCount.neurons)
    found = defaultdict[int, list[TablePair]](list)
    rows = session.execute(select(*groups, total).group_by(*groups).having(total > 0).order_by(*groups))
    for subject_id, own, table, n in rows:
        if own is not None and table is not None:
            found[subject_id].append(TablePair(own, table, n))
    return {subject_id: tuple(pairs) for subject_id, pairs in found.items()}


def workers_seen(session: Session) -> tuple[WorkerSeen, ...]:
    """The workers that are alive."""
    rows = session.scalars(select(Worker).where(is_alive()).order_by(Worker.host, Worker.pid))
    return tuple(WorkerSeen(w.host, w.pid, w.device, w.doing, w.n_finished, w.started_at) for w in rows)


def pauses(session: Session) -> tuple[PauseShown, ...]:
    """Providers whose work waits."""
    rows = session.scalars(select(Pause).where(Pause.until > func.now()).order_by(Pause.provider))
    return tuple(PauseShown(p.provider, p.reason, p.since, None if p.until >= HELD else p.until) for p in rows)


def queue_counts(session: Session) -> QueueCounts:
    """The number of active runs."""
    counts = total_counts(session)
    return QueueCounts(counts[WorkStatus.QUEUED], counts[WorkStatus.RUNNING])
