"""Storage of neurons and of facts about them as a whole."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from psycopg.types.json import Jsonb
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.domain.storable import storable_json
from app.formats.records import NeuronRecord
from app.queries.common.bulk import copy_into
from app.queries.subjects.collections import STATISTICS

Address: TypeAlias = tuple[int, int]
"""Layer and index."""

_COLUMNS = {"layer": "int2", "index": "int4", "facts": "jsonb", **STATISTICS}
_DEFINED = ", ".join(f'"{name}" {kind}' for name, kind in _COLUMNS.items())
_CREATE = text(f"CREATE TEMP TABLE new_neuron ({_DEFINED}) ON COMMIT DROP")
_INSERT = text("""
    INSERT INTO neuron (subject_id, layer, "index")
    SELECT :subject_id, layer, "index" FROM new_neuron ORDER BY layer, "index"
    ON CONFLICT (subject_id, layer, "index") DO NOTHING
    RETURNING id
""")
_KNOWN = " OR ".join(f'n."{name}" IS NOT NULL' for name in STATISTICS)
_SET = ", ".join(f'"{name}" = coalesce(n."{name}", neuron."{name}")' for name in STATISTICS)
_STATISTICS = text(f"""
    UPDATE neuron SET {_SET}
    FROM new_neuron AS n, subject
    WHERE neuron.subject_id = :subject_id AND neuron.layer = n.layer AND neuron."index" = n."index"
        AND subject.id = :subject_id AND coalesce(subject.collection_id, :collection_id) = :collection_id
        AND ({_KNOWN})
""")  # noqa: S608 - names of columns
_COLLECTED = text("""
    INSERT INTO collected_neuron
        (neuron_id, collection_id, mean, variance, max, token_ids, token_means, token_counts, facts)
    SELECT neuron.id, :collection_id, n.mean, n.variance, n.max, '{}', '{}', '{}', n.facts
    FROM new_neuron AS n
    JOIN neuron ON neuron.subject_id = :subject_id AND neuron.layer = n.layer AND neuron."index" = n."index"
    WHERE n.facts IS NOT NULL OR n.mean IS NOT NULL OR n.variance IS NOT NULL OR n.max IS NOT NULL
    ON CONFLICT (neuron_id, collection_id) DO UPDATE SET
        mean = coalesce(excluded.mean, collected_neuron.mean),
        variance = coalesce(excluded.variance, collected_neuron.variance),
        max = coalesce(excluded.max, collected_neuron.max),
        facts = nullif(coalesce(collected_neuron.facts, '{}') || coalesce(excluded.facts, '{}'), '{}')
""")
_IDS = text("""
    SELECT neuron.layer, neuron."index", neuron.id
    FROM neuron JOIN new_neuron AS n ON neuron.layer = n.layer AND neuron."index" = n."index"
    WHERE neuron.subject_id = :subject_id
""")
OTHER_STATISTICS = ("skewness", "kurtosis", "min", "firing_rate", "peak_quantiles", "histogram_counts",
                    "histogram_edges")  # fmt: skip
"""Statistics that have no column; they are stored with the collection's facts under ``STATISTICS_FACT``."""
STATISTICS_FACT = "statistics"
FAILURES_FACT = "failures"
"""Key of the reasons why methods at another site found no explanation."""
NOT_OF_A_FORMAT = (STATISTICS_FACT, FAILURES_FACT)
"""Keys of a collection's facts that are not from the file's format."""


def store_neurons(
    session: Session, *, subject_id: int, collection_id: int, records: Sequence[NeuronRecord]
) -> tuple[dict[Address, int], int]:
    """The ids of the records' neurons by address, and the number of those that are new.

    Their statistics are stored with the collection, and also with the neuron if the subject shows no other collection.
    """
    merged: dict[Address, tuple[dict[str, Any], dict[str, Any]]] = {}
    for record in records:
        known, facts = merged.setdefault((record.layer, record.index), ({}, {}))
        known.update(record.statistics.known)
        facts.update(record.facts)
        if record.failures:
            facts[FAILURES_FACT] = list(record.failures)
    session.execute(_CREATE)
    copy_into(session, "new_neuron", _COLUMNS, (_row(address, *parts) for address, parts in merged.items()))
    parameters = {"subject_id": subject_id, "collection_id": collection_id}
    n_new = len(session.execute(_INSERT, {"subject_id": subject_id}).all())
    session.execute(_STATISTICS, parameters)
    session.execute(_COLLECTED, parameters)
    found = session.execute(_IDS, {"subject_id": subject_id})
    ids = {(layer, index): neuron_id for layer, index, neuron_id in found}
    session.execute(text("DROP TABLE new_neuron"))
    return ids, n_new


def _row(address: Address, known: Mapping[str, Any], facts: Mapping[str, Any]) -> tuple[Any, ...]:
    others = {name: known[name] for name in OTHER_STATISTICS if name in known}
    kept = {**facts, **({STATISTICS_FACT: others} if others else {})}
    return (*address, Jsonb(storable_json(kept)) if kept else None, *(known.get(name) for name in STATISTICS))
