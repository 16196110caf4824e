"""A neuron, its samples and its simulations, as its page shows them."""

from collections.abc import Collection as Ids
from dataclasses import dataclass

from sqlalchemy import ARRAY, BigInteger, any_, bindparam, select
from sqlalchemy.orm import Session

from app.domain.token_table import STRONGEST_TOKENS
from app.models import (
    CollectedNeuron,
    Document,
    Excerpt,
    Sample,
    Simulation,
)
from app.queries.checks.page import CHECKS, StoredCheck, newest_check
from app.queries.common.prepared import PreparedSelect, one_round_trip, rows_of
from app.queries.doubts.shown import DOUBTS
from app.queries.neurons.claims import (
    EVENTS,
    EXPLANATIONS,
    ITEMS,
    RUNS,
    EventShown,
    ExplanationRow,
    RunShown,
    whole_explanations,
)
from app.queries.neurons.head import NeuronHead


@dataclass(frozen=True, slots=True)
class StoredSample:
    """A sample as it is stored."""

    kind: str
    collection_id: int
    excerpt_ids: list[int]
    activations: bytes


@dataclass(frozen=True, slots=True)
class StoredFacts:
    """A neuron's statistics in a collection. The token lists are parallel, highest mean first."""

    n_alike: int | None
    stratum_sizes: list[int] | None
    token_ids: list[int]
    token_means: list[float]
    token_counts: list[int]

    @property
    def tokens(self) -> list[tuple[int, float, int]]:
        """(token id, mean activation, occurrences) of the strongest tokens."""
        return list(zip(self.token_ids, self.token_means, self.token_counts, strict=True))


@dataclass(frozen=True, slots=True)
class StoredSimulation:
    """A simulation as it is stored."""

    explanation_id: int
    simulator: str
    kind: str
    split: str
    collection_id: int | None
    unit: float
    """The activation, in the model's units, that 1 of ``expected`` corresponds to."""
    excerpt_ids: list[int]
    expected: bytes
    failures: dict[str, str]


@dataclass(frozen=True, slots=True)
class StoredExcerpt:
    """An excerpt's tokens, its document, and its position there in tokens."""

    id: int
    token_ids: list[int]
    document: str | None
    position: int


# Statements are built once: building them costs more than running them.
_SIMULATIONS = PreparedSelect(
    StoredSimulation,
    select(
        Simulation.explanation_id,
        Simulation.simulator,
        Simulation.kind,
        Simulation.split,
        Simulation.collection_id,
        Simulation.unit,
        Simulation.excerpt_ids,
        Simulation.expected,
        Simulation.failures,
    )
    .where(Simulation.explanation_id == any_(bindparam("explanation_ids", type_=ARRAY(BigInteger))))
    .order_by(Simulation.id),
)
_SAMPLES = PreparedSelect(
    StoredSample,
    select(Sample.kind, Sample.collection_id, Sample.excerpt_ids, Sample.activations).where(
        Sample.neuron_id == bindparam("neuron_id"),
        Sample.collection_id == any_(bindparam("collection_ids", type_=ARRAY(BigInteger))),
    ),
)
_SAMPLES_WITH = PreparedSelect(
    StoredSample,
    select(Sample.kind, Sample.collection_id, Sample.excerpt_ids, Sample.activations)
    .where(
        Sample.neuron_id == bindparam("neuron_id"),
        bindparam("excerpt_id", type_=BigInteger) == any_(Sample.excerpt_ids),
    )
    .order_by(Sample.collection_id.desc(), Sample.kind),
)
_FACTS = PreparedSelect(
    StoredFacts,
    select(
        CollectedNeuron.n_alike,
        CollectedNeuron.stratum_sizes,
        CollectedNeuron.token_ids[1:STRONGEST_TOKENS].label("token_ids"),
        CollectedNeuron.token_means[1:STRONGEST_TOKENS].label("token_means"),
        CollectedNeuron.token_counts[1:STRONGEST_TOKENS].label("token_counts"),
    ).where(
        CollectedNeuron.neuron_id == bindparam("neuron_id"),
        CollectedNeuron.collection_id == any_(bindparam("collection_ids", type_=ARRAY(BigInteger))),
    ),
)
_EXCERPTS = PreparedSelect(
    StoredExcerpt,
    select(Excerpt.id, Excerpt.token_ids, Document.name.label("document"), Excerpt.position)
    .outerjoin(Document, Document.id == Excerpt.document_id)
    .where(Excerpt.id == any_(bindparam("excerpt_ids", type_=ARRAY(BigInteger)))),
)


@dataclass(frozen=True, slots=True)
class NeuronParts:
    """A neuron's explanations with what belongs to them, and the records on which it fires."""

    explanations: tuple[ExplanationRow, ...]
    runs: tuple[RunShown, ...]
    events: tuple[EventShown, ...]
    samples: tuple[StoredSample, ...]
    facts: StoredFacts | None
    simulations: tuple[StoredSimulation, ...]
    check: StoredCheck | None


def neuron_parts(session: Session, *, head: NeuronHead, explanation_id: int | None) -> NeuronParts:
    """What the page of a neuron shows, with the simulations and the check of one explanation. One round trip."""
    explanation_ids = [] if explanation_id is None else [explanation_id]
    collection_ids = [] if head.collection_id is None else [head.collection_id]
    with one_round_trip(session) as trip:
        explanations = trip.send(EXPLANATIONS.given(neuron_id=head.id))
        doubts = trip.send(DOUBTS.given(neuron_id=head.id))
        items = trip.send(ITEMS.given(neuron_id=head.id))
        runs = trip.send(RUNS.given(neuron_id=head.id))
        events = trip.send(EVENTS.given(neuron_id=head.id))
        samples = trip.send(_SAMPLES.given(neuron_id=head.id, collection_ids=collection_ids))
        facts = trip.send(_FACTS.given(neuron_id=head.id, collection_ids=collection_ids))
        simulations = trip.send(_SIMULATIONS.given(explanation_ids=explanation_ids))
        checks = trip.send(CHECKS.given(explanation_id=explanation_id))
    return NeuronParts(
        explanations=whole_explanations(explanations.rows, doubts.rows, items.rows),
        runs=tuple(runs.rows),
        events=tuple(events.rows),
        samples=tuple(samples.rows),
        facts=next(iter(facts.rows), None),
        simulations=tuple(simulations.rows),
        check=newest_check(checks.rows),
    )


def samples_with(session: Session, *, neuron_id: int, excerpt_id: int) -> tuple[StoredSample, ...]:
    """The samples of a neuron that hold an excerpt, those of the newest collection first. One query."""
    return tuple(rows_of(session, _SAMPLES_WITH.given(neuron_id=neuron_id, excerpt_id=excerpt_id)))


def neuron_samples(session: Session, *, neuron_id: int, collection_ids: Ids[int]) -> tuple[StoredSample, ...]:
    """The samples of a neuron from these collections. One query."""
    return tuple(rows_of(session, _SAMPLES.given(neuron_id=neuron_id, collection_ids=sorted(collection_ids))))


def stored_simulations(session: Session, *, explanation_ids: Ids[int]) -> tuple[StoredSimulation, ...]:
    """What was simulated for these explanations, in the order in which it was stored. One query."""
    return tuple(rows_of(session, _SIMULATIONS.given(explanation_ids=sorted(explanation_ids))))


def stored_excerpts(session: Session, *, excerpt_ids: Ids[int]) -> dict[int, StoredExcerpt]:
    """Each excerpt by its id. One query."""
    rows = rows_of(session, _EXCERPTS.given(excerpt_ids=sorted(excerpt_ids)))
    return {row.id: row for row in rows}
