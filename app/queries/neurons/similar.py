"""Neurons similar to one: by their text, by their strongest tokens, by their top excerpts."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Integer, bindparam, column, func, select
from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from app.domain.samples import SampleKind
from app.models import Neuron, Sample
from app.queries.common.prepared import PreparedSelect, one_statement
from app.queries.neurons.rows import TEXT_SHOWN

MOST_SHOWN = 8
MOST_CANDIDATES = 200
"""Neurons with the most tokens in common, among which shared excerpts are counted."""
MOST_SHARING = 20_000
"""Neurons with any token in common that are read at most: a frequent token drives thousands."""


@dataclass(frozen=True, slots=True)
class SimilarNeuron:
    """A neuron that shares ``n_shared`` of the other's ``n_all`` tokens or excerpts."""

    layer: int
    index: int
    explanation: str | None
    """The beginning of the neuron's explanation."""
    n_shared: int
    n_all: int


@dataclass(frozen=True, slots=True)
class SimilarNeurons:
    """Neurons of the same subject similar to one. Each list has at most ``MOST_SHOWN``, the most similar first."""

    same_text: tuple[SimilarNeuron, ...]
    same_tokens: tuple[SimilarNeuron, ...]
    """Neurons by the number of shared strongest tokens."""
    shared_peaks: tuple[SimilarNeuron, ...]
    """Neurons by the number of shared top excerpts, among the ``MOST_CANDIDATES`` with most shared tokens."""
    nearest: tuple[SimilarNeuron, ...] = ()
    """Neurons of the same layer that the collection stored as nearest; each shares 1 of 1.

    Nearness is measured by co-firing and input weights.
    """


@dataclass(frozen=True, slots=True)
class _OfText:
    """A neuron whose first explanation has the same text."""

    id: int
    layer: int
    index: int
    text: str


@dataclass(frozen=True, slots=True)
class _Sharing:
    """A neuron with its number of shared strongest tokens."""

    neuron_id: int
    n_shared: int
    n_tokens: int
    """Number of strongest tokens of the given neuron."""


@dataclass(frozen=True, slots=True)
class _Near:
    """A neuron that the collection stored as one of the nearest."""

    layer: int
    index: int
    text: str | None


# found through the index on the texts' digests
_OF_TEXT = PreparedSelect(
    _OfText,
    sql("""
    SELECT other.id, other.layer, other.index, other.current_text AS text
    FROM neuron AS own JOIN neuron AS other ON other.subject_id = own.subject_id
        AND md5(other.current_text) = md5(own.current_text) AND other.current_text = own.current_text
        AND other.id <> own.id
    WHERE own.id = :neuron_id ORDER BY other.id LIMIT :limit
    """)
    .bindparams(bindparam("neuron_id", type_=BigInteger), bindparam("limit", type_=BigInteger))
    .columns(*map(column, ("id", "layer", "index", "text"))),
)
_SHARING = PreparedSelect(
    _Sharing,
    sql("""
    WITH own AS MATERIALIZED (
        SELECT strongest_tokens FROM collected_neuron WHERE neuron_id = :neuron_id AND collection_id = :collection_id
    ), sharing AS (
        SELECT neuron_id, strongest_tokens FROM collected_neuron
        WHERE strongest_tokens && (SELECT strongest_tokens FROM own)
            AND collection_id = :collection_id AND neuron_id <> :neuron_id
        LIMIT :most_sharing
    )
    SELECT neuron_id, count(*) AS n_shared, (SELECT cardinality(strongest_tokens) FROM own) AS n_tokens
    FROM (SELECT neuron_id, unnest(strongest_tokens) AS token_id FROM sharing) AS tokens
    WHERE token_id = ANY(CAST((SELECT strongest_tokens FROM own) AS integer[]))
    GROUP BY neuron_id ORDER BY n_shared DESC, neuron_id LIMIT :most
    """)
    .bindparams(
        *(bindparam(name, type_=BigInteger) for name in ("neuron_id", "collection_id", "most", "most_sharing")),
    )
    .columns(*map(column, ("neuron_id", "n_shared", "n_tokens"))),
)
_NEAREST = PreparedSelect(
    _Near,
    sql("""
    SELECT other.layer, other.index, left(other.current_text, :shown) AS text
    FROM collected_neuron AS own JOIN neuron AS me ON me.id = own.neuron_id,
        unnest(own.nearest) WITH ORDINALITY AS near (index, rank)
        JOIN neuron AS other ON other.index = near.index
    WHERE own.neuron_id = :neuron_id AND own.collection_id = :collection_id
        AND other.subject_id = me.subject_id AND other.layer = me.layer
    ORDER BY near.rank
    LIMIT :most
    """)
    .bindparams(*(bindparam(name, type_=BigInteger) for name in ("neuron_id", "collection_id", "most")))
    .bindparams(bindparam("shown", TEXT_SHOWN, type_=Integer))
    .columns(*map(column, ("layer", "index", "text"))),
)


@dataclass(frozen=True, slots=True)
class Candidates:
    """Neurons of the same subject that may be similar to one."""

    same_text: tuple[_OfText, ...]
    sharing: dict[int, int]
    """Neurons with their number of shared strongest tokens, the most first."""
    n_tokens: int
    """Number of strongest tokens of the given neuron; 0 if no other neuron shares one."""
    nearest: tuple[_Near, ...]
    """The neurons of the same layer that the collection stored as nearest."""


def candidates_like(session: Session, *, neuron_id: int, collection_id: int | None, most_of_text: int) -> Candidates:
    """Neurons with the same text, and the ``MOST_CANDIDATES`` that share the most strongest tokens. One query."""
    counts = {"most": MOST_CANDIDATES, "most_sharing": MOST_SHARING}
    with one_statement(session) as asked:
        texts = asked.send(_OF_TEXT.given(neuron_id=neuron_id, limit=most_of_text))
        sharing = asked.send(_SHARING.given(neuron_id=neuron_id, collection_id=collection_id, **counts))
        nearest = asked.send(_NEAREST.given(neuron_id=neuron_id, collection_id=collection_id, most=MOST_SHOWN))
    shared = {row.neuron_id: row.n_shared for row in sharing.rows}
    n_tokens = sharing.rows[0].n_tokens if sharing.rows else 0
    return Candidates(tuple(texts.rows), shared, n_tokens, tuple(nearest.rows))


def similar_neurons(session: Session, *, neuron_id: int, collection_id: int | None) -> SimilarNeurons:
    """Neurons similar to one in a collection. At most three queries."""
    found = candidates_like(session, neuron_id=neuron_id, collection_id=collection_id, most_of_text=MOST_SHOWN)
    same_text = tuple(SimilarNeuron(row.layer, row.index, row.text[:TEXT_SHOWN], 1, 1) for row in found.same_text)
    nearest = tuple(SimilarNeuron(row.layer, row.index, row.text, 1, 1) for row in found.nearest)
    if collection_id is None or not found.sharing:
        return SimilarNeurons(same_text, (), (), nearest)
    peaks, n_top = _shared_peaks(session, neuron_id, collection_id, list(found.sharing))
    tokens = dict(list(found.sharing.items())[:MOST_SHOWN])
    tops = dict(sorted(peaks.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST_SHOWN])
    known = _texts(session, {*tokens, *tops})
    return SimilarNeurons(same_text, _shown(known, tokens, found.n_tokens), _shown(known, tops, n_top), nearest)


def _shared_peaks(
    session: Session, neuron_id: int, collection_id: int, candidates: Sequence[int]
) -> tuple[dict[int, int], int]:
    """The number of top excerpts that each candidate shares, if any; and the number that the neuron has."""
    ids = bindparam("ids", [neuron_id, *candidates], type_=ARRAY(BigInteger))
    rows = session.execute(
        select(Sample.neuron_id, Sample.excerpt_ids).where(
            Sample.neuron_id == func.any(ids), Sample.collection_id == collection_id, Sample.kind == SampleKind.TOP
        )
    )
    by_neuron = {row.neuron_id: set(row.excerpt_ids) for row in rows}
    own = by_neuron.pop(neuron_id, set())
    return {i: n for i, top in by_neuron.items() if (n := len(own & top))}, len(own)


def _texts(session: Session, neuron_ids: Collection[int]) -> Mapping[int, Any]:
    text = func.left(Neuron.current_text, TEXT_SHOWN).label("text")
    rows = session.execute(
        select(Neuron.id, Neuron.layer, Neuron.index.label("number"), text).where(Neuron.id == func.any([*neuron_ids]))
    )
    return {row.id: row for row in rows}


def _shown(known: Mapping[int, Any], shared: Mapping[int, int], n_all: int) -> tuple[SimilarNeuron, ...]:
    """The neurons in the order of ``shared``, which has numbers by the neuron's id."""
    return tuple(
        SimilarNeuron(known[i].layer, known[i].number, known[i].text, n, n_all) for i, n in shared.items() if i in known
    )
