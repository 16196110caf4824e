"""Subjects, their collections, neurons and samples."""

import uuid
from typing import Any

from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Computed,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.collections import CollectionStage, CollectionStatus
from app.domain.samples import SampleKind
from app.domain.token_table import STRONGEST_TOKENS
from app.models.base import Base, BigId, CreatedAt, Moment, one_of


class Subject(Base):
    """A model at one kind of site, with everything that could change an activation."""

    __tablename__ = "subject"

    id: Mapped[BigId]
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    source: Mapped[str]
    revision: Mapped[str | None]
    weights_digest: Mapped[str | None]
    architecture: Mapped[str]
    site: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """Where neurons are read; see ``app.domain.sites``."""
    n_layers: Mapped[int]
    neurons_per_layer: Mapped[int]
    tokenizer_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("tokenizer.id"))
    activation_function: Mapped[str | None]
    """None if a person has named the site: then the activation function before it is unknown."""
    dtype: Mapped[str]
    bos_policy: Mapped[str]
    permutation_seed: Mapped[int | None] = mapped_column(BigInteger)
    null_twin_of_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("subject.id"))
    """The subject whose control this null twin is."""
    collection_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("collection.id", use_alter=True))
    """The newest complete collection: the one that pages show."""


class Collection(Base):
    """One pass of a subject over a corpus. Only a complete one is ever shown."""

    __tablename__ = "collection"
    __table_args__ = (
        one_of("status", CollectionStatus),
        one_of("stage", CollectionStage),
        Index("ix_collection_subject_id", "subject_id"),
    )

    id: Mapped[BigId]
    subject_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("subject.id"))
    corpus_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("corpus.id"))
    status: Mapped[str] = mapped_column(server_default=CollectionStatus.RUNNING)
    context_length: Mapped[int]
    seed: Mapped[int]
    dtype: Mapped[str]
    device: Mapped[str]
    code_version: Mapped[str]
    tokens_planned: Mapped[int] = mapped_column(BigInteger)
    tokens_done: Mapped[int] = mapped_column(BigInteger, server_default="0")
    tokens_per_second: Mapped[float | None]
    n_excerpts: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Distinct excerpts; every one enters the statistics once."""
    n_copies: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Excerpts that are exact copies of earlier ones and were left out."""
    notes: Mapped[list[str]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    """Notes for the reader: documents left out, batches halved."""
    error: Mapped[str | None]
    key: Mapped[uuid.UUID] = mapped_column(unique=True, server_default=text("gen_random_uuid()"))
    """The key by which a killed command finds its collection again."""
    stage: Mapped[str] = mapped_column(server_default=CollectionStage.CUT)
    progress: Mapped[float] = mapped_column(server_default="0")
    """Share of the stage that is done, 0..1."""
    part_tokens: Mapped[dict[str, int]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    """Tokens that each of several processes has read; ``tokens_done`` is their sum."""
    started_at: Mapped[CreatedAt]
    lease_until: Mapped[CreatedAt]
    """When the lease expires; the collecting processes renew it. Once it has expired, no process is running."""
    finished_at: Mapped[Moment | None]


REJECTED = "current_explanation_id IS NULL AND n_explanations > 0"
"""SQL condition that every explanation of the neuron was rejected."""


SAMPLED_NEURONS = "neuron.id % 17 = 0"
"""A condition in SQL that is true of one neuron in 17: a prime, which no regularity in the order of neurons shares."""


class Neuron(Base):
    """A neuron with its statistics and what lists sort by.

    ``current_*`` and ``headline_*`` repeat the explanation that is shown first for the neuron, and the scores that
    represent this explanation: see ``app.domain.standing`` and ``app.domain.headlines`` for the rules,
    ``app.queries.explanations.standing.refresh_current`` for when they are set.
    """

    __tablename__ = "neuron"
    __table_args__ = (
        UniqueConstraint(
            "subject_id",
            "layer",
            "index",
            postgresql_include=[  # the columns that the atlas shows, read from the index alone
                "headline_score",
                "current_score",
                "firing_rate",
                "n_doubts",
                "n_open_flags",
                "n_explanations",
                "current_explanation_id",
            ],
        ),
        Index("ix_neuron_score", "subject_id", "current_score", "id"),
        Index(
            "ix_neuron_layer_score",  # percentiles and histograms by layer, from the index alone
            "subject_id",
            "layer",
            "current_simulator",
            "current_score",
            postgresql_include=["current_explanation_id"],
        ),
        Index("ix_neuron_headline", "subject_id", "headline_score", "id"),
        Index(
            "ix_neuron_layer_headline",  # percentiles within a layer, and ranks against a null twin's layer
            "subject_id",
            "layer",
            "headline_scorer",
            "headline_simulator",
            "headline_score",
        ),
        Index("ix_neuron_margin", "subject_id", "headline_margin", "id"),
        Index("ix_neuron_twin_percentile", "subject_id", "twin_percentile", "id"),
        Index("ix_neuron_firing_rate", "subject_id", "firing_rate", "id"),
        Index("ix_neuron_max", "subject_id", "max", "id"),
        Index("ix_neuron_flags", "subject_id", postgresql_where=text("n_open_flags > 0")),
        Index("ix_neuron_doubtful", "subject_id", postgresql_where=text("n_doubts > 0")),
        Index("ix_neuron_rejected", "subject_id", "layer", "index", postgresql_where=text(REJECTED)),
        # Either kind may be rare: unexplained neurons at the end, explained ones at the start.
        Index(
            "ix_neuron_explained",
            "subject_id",
            "layer",
            "index",
            postgresql_where=text("current_explanation_id IS NOT NULL"),
        ),
        Index(
            "ix_neuron_unexplained",
            "subject_id",
            "layer",
            "index",
            postgresql_where=text("current_explanation_id IS NULL"),
        ),
        Index("ix_neuron_search", "search", postgresql_using="gin"),
        Index("ix_neuron_search_sample", "search", postgresql_using="gin", postgresql_where=text(SAMPLED_NEURONS)),
        Index("ix_neuron_same_text", "subject_id", text("md5(current_text)")),
    )

    id: Mapped[BigId]
    subject_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("subject.id"))
    layer: Mapped[int] = mapped_column(SmallInteger)
    index: Mapped[int]

    mean: Mapped[float | None]
    variance: Mapped[float | None]
    skewness: Mapped[float | None]
    kurtosis: Mapped[float | None]
    min: Mapped[float | None]
    max: Mapped[float | None]
    firing_rate: Mapped[float | None]
    """Share of tokens with an activation above 0."""
    peak_quantiles: Mapped[list[float] | None] = mapped_column(ARRAY(REAL))
    histogram_counts: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    histogram_edges: Mapped[list[float] | None] = mapped_column(ARRAY(REAL))

    current_explanation_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("explanation.id", use_alter=True))
    current_text: Mapped[str | None]
    current_score: Mapped[float | None]
    current_simulator: Mapped[str | None]
    """The simulator of the current score; scores of different simulators are not compared."""
    headline_score: Mapped[float | None]
    """The current explanation's headline if it is a whole-corpus score; see ``app.domain.headlines``.

    ``current_score`` is the 2023 score: one column never has scores of both kinds.
    """
    headline_scorer: Mapped[str | None]
    headline_simulator: Mapped[str | None]
    headline_precision: Mapped[float | None]
    headline_recall: Mapped[float | None]
    headline_margin: Mapped[float | None]
    """The headline score minus that of the neuron's token table."""
    twin_percentile: Mapped[float | None]
    """Share of the null twin's neurons in the same layer with a lower score of the same kind by the same simulator."""
    n_explanations: Mapped[int] = mapped_column(server_default="0")
    n_open_flags: Mapped[int] = mapped_column(server_default="0")
    n_doubts: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    """Number of automatic doubts about the current explanation."""
    search: Mapped[str | None] = mapped_column(
        TSVECTOR,
        Computed(
            "to_tsvector('english'::regconfig, coalesce(current_text, ''))"
            " || to_tsvector('simple'::regconfig, coalesce(current_text, ''))",
            persisted=True,
        ),
    )
    """Search vector of the current explanation: stems to find words by, and whole words to find beginnings by."""


class CollectedNeuron(Base):
    """A neuron's statistics in one collection, without its samples. ``neuron`` repeats the newest collection's.

    NULL means not known, as often for imports. The three token arrays are parallel, highest mean activation first: half
    of the tokens were chosen for the highest means over the corpus, half for explaining most of the neuron's variance.
    """

    __tablename__ = "collected_neuron"
    __table_args__ = (Index("ix_collected_neuron_strongest", "strongest_tokens", postgresql_using="gin"),)

    neuron_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("neuron.id"), primary_key=True)
    collection_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("collection.id"), primary_key=True)
    mean: Mapped[float | None]
    variance: Mapped[float | None]
    max: Mapped[float | None]
    n_alike: Mapped[int | None] = mapped_column(SmallInteger)
    """How many of the excerpts with the 20 highest peaks are near-copies of one with a higher peak."""
    band_edges: Mapped[list[float] | None] = mapped_column(ARRAY(REAL))
    """The lowest peaks of ``band_1`` to ``band_4``; an excerpt's peak decides its band."""
    stratum_sizes: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    """Excerpts of the corpus in the top sample and in the bands, in the order of ``samples.STRATA``."""
    token_ids: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    token_means: Mapped[list[float]] = mapped_column(ARRAY(REAL))
    token_counts: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    strongest_tokens: Mapped[list[int]] = mapped_column(
        ARRAY(Integer), Computed(f"token_ids[1:{STRONGEST_TOKENS}]", persisted=True)
    )
    """The first of ``token_ids``, used by the search by token."""
    nearest: Mapped[list[int] | None] = mapped_column(ARRAY(Integer))
    """Indices of the most similar neurons of its layer, by co-firing and input weights, most similar first."""
    facts: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    """Facts that an imported file gives of the neuron and that have no column, by the file's names."""


class Sample(Base):
    """A named set of records of one neuron: concatenated float16 activations.

    ``probabilities`` is NULL if the excerpts were not drawn from the corpus.
    """

    __tablename__ = "sample"
    __table_args__ = (one_of("kind", SampleKind),)

    neuron_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("neuron.id"), primary_key=True)
    collection_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("collection.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    excerpt_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    activations: Mapped[bytes] = mapped_column(LargeBinary)
    peaks: Mapped[list[float]] = mapped_column(ARRAY(REAL))
    probabilities: Mapped[list[float] | None] = mapped_column(ARRAY(REAL))
    """Each excerpt's inclusion probability in the top sample, its band or ``random``."""
    facts: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
    """For each excerpt, facts that only the imported file has, such as its interval; NULL if there are none."""
