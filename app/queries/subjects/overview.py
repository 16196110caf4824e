"""The first page's content: subjects, how far they are explained, and current work."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.sites import Site
from app.domain.work import WorkStatus
from app.models import Collection, Corpus, NeuronCount, Pause, Subject, Worker
from app.queries.doubts.shown import DoubtCount, doubt_counts
from app.queries.runs.counts import total_counts
from app.queries.work.workers import is_alive

SCORE_BINS = 20
"""Equal bins of a score histogram over 0..1, as ``score_bin`` in the migration has them; one more, the first, holds
scores below 0."""
GOOD_SCORE = 0.5
_GOOD_BIN = 1 + int(GOOD_SCORE * SCORE_BINS)


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
class SimulatorScores:
    """The current scores by one simulator: those of another one are counted apart, since they are not comparable."""

    simulator: str
    n_scored: int
    n_good: int
    """Neurons whose current score is GOOD_SCORE or more."""
    layers: tuple[LayerScores, ...]


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
    doubts: tuple[DoubtCount, ...]
    """What neurons' current explanations are doubted for, the most frequent first."""
    corpus: str | None
    tokens: int | None
    scores: tuple[SimulatorScores, ...]
    """By the number of neurons that they scored, the largest first."""


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
    until: datetime


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """The number of runs that wait, and of those that a worker has."""

    queued: int
    running: int


def subject_summaries(session: Session) -> tuple[SubjectSummary, ...]:
    """All subjects with their counts, doubts and the score histogram of each layer. Three queries."""
    rows = session.execute(
        select(Subject, Corpus.name.label("corpus"), Collection.tokens_done)
        .outerjoin(Collection, Collection.id == Subject.collection_id)
        .outerjoin(Corpus, Corpus.id == Collection.corpus_id)
        .order_by(Subject.name, Subject.id)
    ).all()
    counted, doubted = _counted_neurons(session), doubt_counts(session)
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
            doubts=doubted.get(row.Subject.id, ()),
            corpus=row.corpus,
            tokens=row.tokens_done,
            scores=counted[row.Subject.id].by_simulator(row.Subject.n_layers),
        )
        for row in rows
    )


@dataclass(slots=True)
class _Counted:
    """The neurons of a subject, added up while rows of ``neuron_count`` are read."""

    n_explained: int = 0
    n_flagged: int = 0
    counts: dict[str, dict[int, list[int]]] = field(default_factory=dict)
    """By simulator and layer: 1 + SCORE_BINS numbers."""

    def by_simulator(self, n_layers: int) -> tuple[SimulatorScores, ...]:
        """The counts of each simulator in all layers of the subject."""
        found = [self._of(simulator, n_layers) for simulator in sorted(self.counts)]
        # The sums of a simulator whose last score was replaced by another one's are 0.
        return tuple(sorted((scores for scores in found if scores.n_scored), key=lambda scores: -scores.n_scored))

    def _of(self, simulator: str, n_layers: int) -> SimulatorScores:
        nothing, counts = [0] * (1 + SCORE_BINS), self.counts[simulator]
        layers = tuple(LayerScores(layer, tuple(counts.get(layer, nothing))) for layer in range(n_layers))
        n_good = sum(sum(layer.counts[_GOOD_BIN:]) for layer in layers)
        return SimulatorScores(simulator, sum(layer.n_scored for layer in layers), n_good, layers)


def _counted_neurons(session: Session) -> dict[int, _Counted]:
    """The explained, flagged and scored neurons of every subject, by the subject's id."""
    groups = (NeuronCount.subject_id, NeuronCount.layer, NeuronCount.simulator, NeuronCount.bin)
    sums = func.sum(NeuronCount.explained), func.sum(NeuronCount.flagged)
    counted: dict[int, _Counted] = defaultdict(_Counted)
    for subject_id, layer, simulator, bin_of_score, explained, flagged in session.execute(
        select(*groups, *sums).group_by(*groups)
    ):
        of_subject = counted[subject_id]
        of_subject.n_explained += explained
        of_subject.n_flagged += flagged
        if simulator is not None and bin_of_score is not None:
            counts = of_subject.counts.setdefault(simulator, {}).setdefault(layer, [0] * (1 + SCORE_BINS))
            counts[bin_of_score] += explained
    return counted


def workers_seen(session: Session) -> tuple[WorkerSeen, ...]:
    """The workers that are alive."""
    rows = session.scalars(select(Worker).where(is_alive()).order_by(Worker.host, Worker.pid))
    return tuple(WorkerSeen(w.host, w.pid, w.device, w.doing, w.n_finished, w.started_at) for w in rows)


def pauses(session: Session) -> tuple[PauseShown, ...]:
    """Providers whose work waits for an outage to end."""
    rows = session.scalars(select(Pause).where(Pause.until > func.now()).order_by(Pause.provider))
    return tuple(PauseShown(p.provider, p.reason, p.since, p.until) for p in rows)


def queue_counts(session: Session) -> QueueCounts:
    """The number of active runs."""
    counts = total_counts(session)
    return QueueCounts(counts[WorkStatus.QUEUED], counts[WorkStatus.RUNNING])
