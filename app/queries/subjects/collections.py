"""The results of a finished collection, and the one transaction that makes them visible."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import bindparam, func, select, text, update
from sqlalchemy.orm import Session

from app.domain.arrays import Int64s
from app.domain.collections import CollectionStatus
from app.domain.events import EventKind
from app.errors import CollectionError
from app.models import Collection, Neuron, Subject
from app.queries.common.bulk import copy_into
from app.queries.history.events import record_event

STATISTICS = {
    "mean": "float8",
    "variance": "float8",
    "skewness": "float8",
    "kurtosis": "float8",
    "min": "float8",
    "max": "float8",
    "firing_rate": "float8",
    "peak_quantiles": "float4[]",
    "histogram_counts": "int8[]",
    "histogram_edges": "float4[]",
}
"""The columns of a neuron that a collection sets, with their Postgres types."""
SAMPLE_COLUMNS = {
    "neuron_id": "int8",
    "collection_id": "int8",
    "kind": "text",
    "excerpt_ids": "int8[]",
    "activations": "bytea",
    "peaks": "float4[]",
    "probabilities": "float4[]",
}
COLLECTED_COLUMNS = {
    "neuron_id": "int8",
    "collection_id": "int8",
    "mean": "float8",
    "variance": "float8",
    "max": "float8",
    "n_alike": "int2",
    "band_edges": "float4[]",
    "stratum_sizes": "int8[]",
    "token_ids": "int4[]",
    "token_means": "float4[]",
    "token_counts": "int8[]",
    "nearest": "int4[]",
}


@dataclass(frozen=True, slots=True)
class ExcerptRow:
    """An excerpt by its ordinal in the collection; ``document`` is the document's ordinal in the corpus."""

    ordinal: int
    document: int
    position: int
    token_ids: list[int]


def store_documents(session: Session, *, corpus_id: int, documents: Iterable[tuple[int, str, int | None]]) -> None:
    """Add a corpus's documents (ordinal, name, byte offset) that are not stored yet."""
    session.execute(text("CREATE TEMP TABLE new_document (ordinal int, name text, byte_offset int8)"))
    copy_into(session, "new_document", {"ordinal": "int4", "name": "text", "byte_offset": "int8"}, documents)
    session.execute(
        text(
            "INSERT INTO document (corpus_id, ordinal, name, byte_offset) "
            "SELECT :corpus_id, ordinal, name, byte_offset FROM new_document ORDER BY ordinal "
            "ON CONFLICT (corpus_id, ordinal) DO NOTHING"
        ),
        {"corpus_id": corpus_id},
    )
    session.execute(text("DROP TABLE new_document"))


def store_excerpts(
    session: Session, *, corpus_id: int, tokenizer_id: int, excerpts: Iterable[ExcerptRow]
) -> tuple[Int64s, Int64s]:
    """Add excerpts that are not stored yet. Returns their ordinals, ascending, and the id of each."""
    session.execute(text("CREATE TEMP TABLE new_excerpt (ordinal int8, document int, position int, token_ids int[])"))
    copy_into(
        session,
        "new_excerpt",
        {"ordinal": "int8", "document": "int4", "position": "int4", "token_ids": "int4[]"},
        ((e.ordinal, e.document, e.position, e.token_ids) for e in excerpts),
    )
    found = "FROM new_excerpt n JOIN document d ON d.corpus_id = :corpus_id AND d.ordinal = n.document"
    parameters = {"corpus_id": corpus_id, "tokenizer_id": tokenizer_id}
    session.execute(
        text(
            "INSERT INTO excerpt (corpus_id, document_id, tokenizer_id, position, length, token_ids) "
            "SELECT :corpus_id, d.id, :tokenizer_id, n.position, cardinality(n.token_ids), n.token_ids "
            f"{found} ORDER BY n.ordinal "
            "ON CONFLICT (document_id, tokenizer_id, position, length) DO NOTHING"
        ),
        parameters,
    )
    rows = session.execute(
        text(
            f"SELECT n.ordinal, e.id {found} "
            "JOIN excerpt e ON e.document_id = d.id AND e.tokenizer_id = :tokenizer_id "
            "AND e.position = n.position AND e.length = cardinality(n.token_ids) ORDER BY n.ordinal"
        ),
        parameters,
    ).all()
    session.execute(text("DROP TABLE new_excerpt"))
    return np.array([r[0] for r in rows], dtype=np.int64), np.array([r[1] for r in rows], dtype=np.int64)


def store_neurons(
    session: Session, *, subject_id: int, shape: tuple[int, int], rows: Iterable[tuple[Any, ...]]
) -> Int64s:
    """Set the statistics of neurons, adding those that are new. Returns the ids, [layers, neurons].

    A row is (layer, index, then ``STATISTICS`` in order). A neuron keeps its id.
    """
    columns = {"layer": "int2", "index": "int4", **STATISTICS}
    defined = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    session.execute(text(f"CREATE TEMP TABLE new_neuron ({defined})"))
    copy_into(session, "new_neuron", columns, rows)
    names = ", ".join(f'"{name}"' for name in columns)
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in STATISTICS)
    session.execute(
        text(
            f"INSERT INTO neuron (subject_id, {names}) SELECT :subject_id, {names} "  # noqa: S608 - names of columns
            'FROM new_neuron ORDER BY "layer", "index" '
            f'ON CONFLICT (subject_id, layer, "index") DO UPDATE SET {changes}'
        ),
        {"subject_id": subject_id},
    )
    session.execute(text("DROP TABLE new_neuron"))
    ids = np.zeros(shape, dtype=np.int64)
    stored = select(Neuron.layer, Neuron.index, Neuron.id).where(Neuron.subject_id == subject_id)
    for layer, index, neuron_id in session.execute(stored):
        ids[layer, index] = neuron_id
    return ids


def store_samples(session: Session, *, rows: Iterable[tuple[Any, ...]]) -> None:
    """COPY samples; a row has ``SAMPLE_COLUMNS`` in order."""
    copy_into(session, "sample", SAMPLE_COLUMNS, rows)


def store_collected_neurons(session: Session, *, rows: Iterable[tuple[Any, ...]]) -> None:
    """COPY a collection's facts about neurons; a row has ``COLLECTED_COLUMNS`` in order."""
    copy_into(session, "collected_neuron", COLLECTED_COLUMNS, rows)


def complete_collection(session: Session, *, collection_id: int, values: Mapping[str, Any]) -> None:
    """Make a collection the one that pages show. ``values`` are further columns to set.

    Raises CollectionError if it is no longer running, since another process has completed it.
    """
    statement = (
        update(Collection)
        .where(Collection.id == bindparam("collection"), Collection.status == CollectionStatus.RUNNING)
        .values(status=CollectionStatus.COMPLETE, error=None, finished_at=func.now(), lease_until=func.now(), **values)
        .returning(Collection.subject_id)
    )
    subject_id = session.scalar(statement, {"collection": collection_id})
    if subject_id is None:
        raise CollectionError("This collection is not running any more.")
    session.execute(update(Subject).where(Subject.id == subject_id).values(collection_id=collection_id))
    record_event(
        session, kind=EventKind.COLLECTION_COMPLETED, subject_id=subject_id, detail={"collection_id": collection_id}
    )
