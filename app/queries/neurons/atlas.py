"""The data of the atlas and the plots: every neuron of a subject in one COPY, read as arrays."""

import numpy as np
from psycopg import sql
from sqlalchemy.orm import Session

from app.domain.atlas import NeuronFacts
from app.queries.common.bulk import driver_connection

# All columns are in the index on (layer, index): an index-only scan reads a tenth of the table.
EVERY_NEURON = sql.SQL("""
    COPY (
        SELECT layer, index,
            coalesce(headline_score, 'NaN')::float8, coalesce(current_score, 'NaN')::float8,
            coalesce(firing_rate, 'NaN')::float8,
            n_doubts, current_explanation_id IS NOT NULL, n_open_flags > 0,
            current_explanation_id IS NULL AND n_explanations > 0
        FROM neuron WHERE subject_id = {}
    ) TO STDOUT (FORMAT BINARY)
""")
_VALUES = {
    "layer": ">i2", "index": ">i4", "headline": ">f8", "score": ">f8", "rate": ">f8", "doubts": ">i2",
    "explained": "u1", "flagged": "u1", "rejected": "u1",
}  # fmt: skip
_FIELDS = [field for name, kind in _VALUES.items() for field in ((f"{name}_bytes", ">i4"), (name, kind))]
_ROW = np.dtype([("n_fields", ">i2"), *_FIELDS])
"""A row of PostgreSQL's binary COPY without NULLs: the number of fields, then each field after its length.

Source: PostgreSQL's documentation of COPY, "Binary Format".
"""
_HEADER, _TRAILER = 19, 2
"""Number of bytes before the first row and after the last."""


def neuron_facts(session: Session, *, subject_id: int) -> NeuronFacts:
    """All neurons of a subject, in any order. One query; 73 bytes per neuron are read."""
    statement = EVERY_NEURON.format(sql.Literal(subject_id))
    with driver_connection(session).cursor() as cursor, cursor.copy(statement) as copy:
        content = b"".join(copy)
    n_rows = (len(content) - _HEADER - _TRAILER) // _ROW.itemsize
    rows = np.frombuffer(content, dtype=_ROW, offset=_HEADER, count=n_rows)
    return NeuronFacts(
        layers=rows["layer"].astype(np.int64),
        indices=rows["index"].astype(np.int64),
        headlines=rows["headline"].astype(np.float64),
        scores=rows["score"].astype(np.float64),
        rates=rows["rate"].astype(np.float64),
        doubts=rows["doubts"].astype(np.int64),
        is_explained=rows["explained"].astype(np.bool_),
        is_flagged=rows["flagged"].astype(np.bool_),
        is_rejected=rows["rejected"].astype(np.bool_),
    )
