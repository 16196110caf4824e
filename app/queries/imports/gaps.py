"""Missing files of a data set that has one file per neuron: neurons absent from an otherwise complete layer."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.domain.authors import AuthorKind
from app.formats.openai.writer import ACTIVATIONS, EXPLANATIONS
from app.formats.problems import ReadingProblem

NEARLY_ALL = 0.9
"""Share of a layer's neurons that must be present for the others to count as missing, not as left out."""
MOST_GAPS = 10_000
_GAPS = text(f"""
    WITH own AS MATERIALIZED (
        SELECT n.layer, n."index",
            EXISTS (
                SELECT FROM collected_neuron c
                WHERE c.neuron_id = n.id AND c.collection_id = :collection_id AND c.mean IS NOT NULL
            ) AS has_records,
            EXISTS (
                SELECT FROM explanation e WHERE e.neuron_id = n.id AND e.author_kind = '{AuthorKind.IMPORT}'
            ) AS is_explained
        FROM neuron n WHERE n.subject_id = :subject_id
    ), layers AS (
        SELECT layer, max("index") AS last, count(*) FILTER (WHERE has_records) AS n_recorded,
            count(*) FILTER (WHERE is_explained) AS n_explained
        FROM own GROUP BY layer
    )
    SELECT layers.layer, number, coalesce(own.has_records, false) AS has_records,
        coalesce(own.is_explained, false) AS is_explained,
        n_recorded >= :share * (last + 1) AS expects_records, n_explained >= :share * (last + 1) AS expects_explanation
    FROM layers
    CROSS JOIN LATERAL generate_series(0, layers.last) AS number
    LEFT JOIN own ON own.layer = layers.layer AND own."index" = number
    WHERE (n_recorded >= :share * (last + 1) AND own.has_records IS NOT TRUE)
        OR (n_explained >= :share * (last + 1) AND own.is_explained IS NOT TRUE)
    ORDER BY layers.layer, number
    LIMIT :most
""")  # noqa: S608 - a word of an enum


def missing_files(session: Session, *, subject_id: int, collection_id: int) -> list[ReadingProblem]:
    """A gap for each file of OpenAI's format that a nearly whole layer lacks, by layer and index. One query.

    A neuron with a stored mean had a file of activations; records alone may come from explanations. Neurons of an
    earlier import are not missing. At most ``MOST_GAPS`` neurons are returned.
    """
    parameters = {
        "subject_id": subject_id, "collection_id": collection_id, "share": NEARLY_ALL, "most": MOST_GAPS,
    }  # fmt: skip
    found = []
    for row in session.execute(_GAPS, parameters):
        address = {"layer": row.layer, "index": row.number}
        if row.expects_records and not row.has_records:
            found.append(_gap(ACTIVATIONS.format(**address), "records of its activations"))
        if row.expects_explanation and not row.is_explained:
            found.append(_gap(EXPLANATIONS.format(**address), "an explanation"))
    return found


def _gap(file: str, what: str) -> ReadingProblem:
    return ReadingProblem(
        file, f"there is no such file, or it holds nothing: the neuron is without {what}", is_gap=True
    )
