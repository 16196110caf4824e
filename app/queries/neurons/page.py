"""A neuron, its samples and its simulations, as its page shows them."""

from collections.abc import Collection as Ids
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ARRAY, BigInteger, Integer, Text, any_, bindparam, cast, column, or_, select, text
from sqlalchemy.orm import Session

from app.domain.samples import BANDS, SampleKind
from app.domain.token_table import STRONGEST_TOKENS
from app.models import (
    CollectedNeuron,
    Document,
    Excerpt,
    Sample,
    Simulation,
)
from app.queries.checks.page import CHECKS, StoredCheck, newest_check
from app.queries.common.prepared import PreparedSelect, one_statement, rows_of
from app.queries.doubts.shown import DOUBTS
from app.queries.methods.definitions import NEWEST_METHODS, NewestMethod, offered
from app.queries.neurons.claims import (
    EVENTS,
    EXPLANATIONS,
    FLAGS,
    ITEMS,
    RUNS,
    EventShown,
    ExplanationRow,
    FlagShown,
    RunShown,
    whole_explanations,
)
from app.queries.neurons.head import NeuronHead

SHOWN_OF_BAND = 5
"""Excerpts of a band that a page shows; the others are only used for scoring."""


@dataclass(frozen=True, slots=True)
class StoredSample:
    """A sample as stored."""

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
    """A simulation as stored."""

    explanation_id: int
    simulator: str
    kind: str
    split: str
    collection_id: int | None
    unit: float
    """The activation, in the model's units, that an expected activation of 1 corresponds to."""
    excerpt_ids: list[int]
    expected: bytes
    failures: dict[str, str]


@dataclass(frozen=True, slots=True)
class StoredExcerpt:
    """An excerpt's tokens, its document, and the index of its first token there."""

    id: int
    token_ids: list[int]
    document: str | None
    position: int


# Built once at import: building these statements takes longer than executing them.
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
# Samples of earlier collections on which the explanation was simulated before the subject was collected again.
_SAMPLES_OF_PAGE = PreparedSelect(
    StoredSample,
    select(Sample.kind, Sample.collection_id, Sample.excerpt_ids, Sample.activations).where(
        Sample.neuron_id == bindparam("neuron_id"),
        or_(
            Sample.collection_id == bindparam("collection_id", type_=BigInteger),
            Sample.collection_id.in_(
                select(Simulation.collection_id).where(
                    Simulation.explanation_id == bindparam("explanation_id", type_=BigInteger)
                )
            ),
        ),
    ),
)
_SIMULATED_SAMPLES = PreparedSelect(
    StoredSample,
    select(Sample.kind, Sample.collection_id, Sample.excerpt_ids, Sample.activations).where(
        Sample.neuron_id == bindparam("neuron_id"),
        Sample.collection_id.in_(
            select(Simulation.collection_id).where(
                Simulation.explanation_id == any_(bindparam("explanation_ids", type_=ARRAY(BigInteger)))
            )
        ),
    ),
)
_OF_KIND = (
    Sample.neuron_id == bindparam("neuron_id"),
    Sample.collection_id == bindparam("collection_id", type_=BigInteger),
    Sample.kind == bindparam("kind", type_=Text),
)
_SAMPLE = PreparedSelect(
    StoredSample, select(Sample.kind, Sample.collection_id, Sample.excerpt_ids, Sample.activations).where(*_OF_KIND)
)
_EXCERPTS_OF_SAMPLE = PreparedSelect(
    StoredExcerpt,
    select(Excerpt.id, Excerpt.token_ids, Document.name.label("document"), Excerpt.position)
    .outerjoin(Document, Document.id == Excerpt.document_id)
    .where(Excerpt.id == any_(cast(select(Sample.excerpt_ids).where(*_OF_KIND).scalar_subquery(), ARRAY(BigInteger)))),
)
_EXCERPTS_OF_PAGE = PreparedSelect(
    StoredExcerpt,
    text("""
    WITH simulated AS (
        SELECT collection_id, kind, excerpt_ids FROM simulation WHERE explanation_id = :explanation_id
    ), shown AS (
        SELECT unnest(
            CASE WHEN sample.kind = ANY(:bands) AND NOT EXISTS (
                SELECT FROM simulated
                WHERE simulated.collection_id = sample.collection_id AND simulated.kind = sample.kind
            ) THEN excerpt_ids[1 : :n_of_band] ELSE excerpt_ids END
        ) AS id
        FROM sample WHERE neuron_id = :neuron_id AND (
            collection_id = :collection_id OR collection_id IN (SELECT collection_id FROM simulated)
        )
        UNION SELECT unnest(excerpt_ids) FROM simulated
        UNION SELECT unnest(excerpt_ids) FROM check_mistake WHERE explanation_id = :explanation_id
    )
    SELECT excerpt.id, excerpt.token_ids, document.name AS document, excerpt.position
    FROM excerpt LEFT JOIN document ON document.id = excerpt.document_id
    WHERE excerpt.id = ANY(ARRAY(SELECT id FROM shown))
    """)
    .bindparams(
        bindparam("neuron_id", type_=BigInteger),
        bindparam("collection_id", type_=BigInteger),
        bindparam("explanation_id", type_=BigInteger),
        bindparam("bands", [str(band) for band in BANDS], type_=ARRAY(Text)),
        bindparam("n_of_band", SHOWN_OF_BAND, type_=Integer),
    )
    .columns(column("id"), column("token_ids"), column("document"), column("position")),
)


@dataclass(frozen=True, slots=True)
class NeuronParts:
    """A neuron's explanations with their scores, doubts and runs, and the neuron's records."""

    explanations: tuple[ExplanationRow, ...]
    runs: tuple[RunShown, ...]
    events: tuple[EventShown, ...]
    flags: tuple[FlagShown, ...]
    methods: tuple[NewestMethod, ...]
    """Methods that may be queued; empty unless requested."""
    samples: tuple[StoredSample, ...]
    """Samples of the collection that the subject shows."""
    earlier_samples: tuple[StoredSample, ...]
    """Samples of other collections on which the explanation was simulated."""
    excerpts: Mapping[int, StoredExcerpt]
    """Every excerpt that the page shows, by id."""
    facts: StoredFacts | None
    simulations: tuple[StoredSimulation, ...]
    check: StoredCheck | None


def neuron_parts(
    session: Session, *, head: NeuronHead, explanation_id: int | None, with_methods: bool = False
) -> NeuronParts:
    """The data of a neuron's page, with the simulations and the check of one explanation. One query.

    ``with_methods`` adds the methods that may be queued.
    """
    collection_ids = [] if head.collection_id is None else [head.collection_id]
    shown = {"neuron_id": head.id, "collection_id": head.collection_id, "explanation_id": explanation_id}
    with one_statement(session) as asked:
        explanations = asked.send(EXPLANATIONS.given(neuron_id=head.id))
        doubts = asked.send(DOUBTS.given(neuron_id=head.id))
        items = asked.send(ITEMS.given(neuron_id=head.id))
        runs = asked.send(RUNS.given(neuron_id=head.id))
        events = asked.send(EVENTS.given(neuron_id=head.id))
        flags = asked.send(FLAGS.given(neuron_id=head.id))
        methods = asked.send(NEWEST_METHODS.given()) if with_methods else None
        samples = asked.send(_SAMPLES_OF_PAGE.given(**shown))
        excerpts = asked.send(_EXCERPTS_OF_PAGE.given(**shown))
        facts = asked.send(_FACTS.given(neuron_id=head.id, collection_ids=collection_ids))
        simulations = asked.send(_SIMULATIONS.given(explanation_ids=[] if explanation_id is None else [explanation_id]))
        checks = asked.send(CHECKS.given(explanation_id=explanation_id))
    return NeuronParts(
        explanations=whole_explanations(explanations.rows, doubts.rows, items.rows),
        runs=tuple(runs.rows),
        events=tuple(events.rows),
        flags=tuple(flags.rows),
        methods=() if methods is None else tuple(offered(methods.rows)),
        samples=tuple(row for row in samples.rows if row.collection_id == head.collection_id),
        earlier_samples=tuple(row for row in samples.rows if row.collection_id != head.collection_id),
        excerpts={row.id: row for row in excerpts.rows},
        facts=next(iter(facts.rows), None),
        simulations=tuple(simulations.rows),
        check=newest_check(checks.rows),
    )


def samples_with(session: Session, *, neuron_id: int, excerpt_id: int) -> tuple[StoredSample, ...]:
    """The samples of a neuron that contain an excerpt, those of the newest collection first. One query."""
    return tuple(rows_of(session, _SAMPLES_WITH.given(neuron_id=neuron_id, excerpt_id=excerpt_id)))


def neuron_samples(session: Session, *, neuron_id: int, collection_ids: Ids[int]) -> tuple[StoredSample, ...]:
    """The samples of a neuron from these collections. One query."""
    return tuple(rows_of(session, _SAMPLES.given(neuron_id=neuron_id, collection_ids=sorted(collection_ids))))


def stored_simulations(session: Session, *, explanation_ids: Ids[int]) -> tuple[StoredSimulation, ...]:
    """The simulations of these explanations, in stored order. One query."""
    return tuple(rows_of(session, _SIMULATIONS.given(explanation_ids=sorted(explanation_ids))))


def simulated_samples(
    session: Session, *, neuron_id: int, explanation_ids: Ids[int]
) -> tuple[tuple[StoredSimulation, ...], tuple[StoredSample, ...]]:
    """The simulations of these explanations of a neuron, and its samples from the same collections. One query."""
    ids = sorted(explanation_ids)
    with one_statement(session) as asked:
        simulations = asked.send(_SIMULATIONS.given(explanation_ids=ids))
        samples = asked.send(_SIMULATED_SAMPLES.given(neuron_id=neuron_id, explanation_ids=ids))
    return tuple(simulations.rows), tuple(samples.rows)


def samples_with_excerpts(
    session: Session, *, neuron_id: int, collection_id: int | None, kind: SampleKind
) -> tuple[tuple[StoredSample, ...], dict[int, StoredExcerpt]]:
    """The sample of a kind, if there is one, and its excerpts by id. One query."""
    given = {"neuron_id": neuron_id, "collection_id": collection_id, "kind": kind}
    with one_statement(session) as asked:
        samples, excerpts = asked.send(_SAMPLE.given(**given)), asked.send(_EXCERPTS_OF_SAMPLE.given(**given))
    return tuple(samples.rows), {row.id: row for row in excerpts.rows}


def stored_excerpts(session: Session, *, excerpt_ids: Ids[int]) -> dict[int, StoredExcerpt]:
    """Each excerpt by its id. One query."""
    rows = rows_of(session, _EXCERPTS.given(excerpt_ids=sorted(excerpt_ids)))
    return {row.id: row for row in rows}
