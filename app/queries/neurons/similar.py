"""Neurons that are like one: by their text, by their strongest tokens, by the excerpts that they fire on most."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, BigInteger, bindparam, func, select
from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from app.domain.samples import SampleKind
from app.models import CollectedNeuron, Neuron, Sample

MOST_SHOWN = 8
MOST_CANDIDATES = 200
"""Neurons with the most tokens in common, among which shared excerpts are counted."""
MOST_SHARING = 20_000
"""Neurons with any token in common that are looked at: a frequent token drives thousands."""
TEXT_SHOWN = 120


@dataclass(frozen=True, slots=True)
class SimilarNeuron:
    """A neuron that has ``n_shared`` of ``n_all`` in common with another."""

    layer: int
    index: int
    explanation: str | None
    """Its beginning."""
    n_shared: int
    n_all: int


@dataclass(frozen=True, slots=True)
class SimilarNeurons:
    """Neurons of the same subject that are like one. Each list has at most ``MOST_SHOWN``, the most alike first."""

    same_text: tuple[SimilarNeuron, ...]
    same_tokens: tuple[SimilarNeuron, ...]
    """By the strongest tokens that they share."""
    shared_peaks: tuple[SimilarNeuron, ...]
    """By the top excerpts that they share, among the ``MOST_CANDIDATES`` that share the most tokens."""
    nearest: tuple[SimilarNeuron, ...] = ()
    """By co-firing and input weights, of the same layer, as the collection has stored them; each shares 1 of 1."""


_SHARING = sql("""
    SELECT neuron_id, count(*) AS n_shared
    FROM (
        SELECT neuron_id, unnest(strongest_tokens) AS token_id
        FROM (
            SELECT neuron_id, strongest_tokens FROM collected_neuron
            WHERE strongest_tokens && CAST(:own AS integer[])
                AND collection_id = :collection_id AND neuron_id <> :neuron_id
            LIMIT :most_sharing
        ) AS sharing
    ) AS tokens
    WHERE token_id = ANY(CAST(:own AS integer[]))
    GROUP BY neuron_id ORDER BY n_shared DESC, neuron_id LIMIT :most
""")


_NEAREST = sql("""
    SELECT other.layer, other.index AS number, left(other.current_text, :shown) AS text
    FROM collected_neuron AS own JOIN neuron AS me ON me.id = own.neuron_id,
        unnest(own.nearest) WITH ORDINALITY AS near (index, rank)
        JOIN neuron AS other ON other.index = near.index
    WHERE own.neuron_id = :neuron_id AND own.collection_id = :collection_id
        AND other.subject_id = me.subject_id AND other.layer = me.layer
    ORDER BY near.rank
    LIMIT :most
""")


def similar_neurons(session: Session, *, neuron_id: int, collection_id: int | None) -> SimilarNeurons:
    """What is like a neuron in a collection. At most seven queries."""
    same_text = _same_text(session, neuron_id)
    if collection_id is None:
        return SimilarNeurons(same_text, (), ())
    nearest = _nearest(session, neuron_id, collection_id)
    n_tokens, sharing = sharing_tokens(session, neuron_id, collection_id, most=MOST_CANDIDATES)
    if not n_tokens:
        return SimilarNeurons(same_text, (), (), nearest)
    peaks, n_top = _shared_peaks(session, neuron_id, collection_id, list(sharing))
    return SimilarNeurons(
        same_text,
        _shown(session, dict(list(sharing.items())[:MOST_SHOWN]), n_tokens),
        _shown(session, dict(sorted(peaks.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST_SHOWN]), n_top),
        nearest,
    )


def _nearest(session: Session, neuron_id: int, collection_id: int) -> tuple[SimilarNeuron, ...]:
    parameters = {"neuron_id": neuron_id, "collection_id": collection_id, "shown": TEXT_SHOWN, "most": MOST_SHOWN}
    rows = session.execute(_NEAREST, parameters)
    return tuple(SimilarNeuron(row.layer, row.number, row.text, 1, 1) for row in rows)


def sharing_tokens(session: Session, neuron_id: int, collection_id: int, *, most: int) -> tuple[int, dict[int, int]]:
    """How many strongest tokens a neuron has, and how many of them others share, the most first. Two queries."""
    own = session.scalar(
        select(CollectedNeuron.strongest_tokens).where(
            CollectedNeuron.neuron_id == neuron_id, CollectedNeuron.collection_id == collection_id
        )
    )
    if not own:
        return 0, {}
    parameters = {"own": own, "collection_id": collection_id, "neuron_id": neuron_id}
    parameters |= {"most_sharing": MOST_SHARING, "most": most}
    return len(own), {row.neuron_id: row.n_shared for row in session.execute(_SHARING, parameters)}


def neurons_with_text_of(session: Session, neuron_id: int, *, limit: int) -> list[int]:
    """Ids of neurons of the same subject that are shown the same explanation first."""
    return [row.id for row in _of_text(session, neuron_id, limit)]


def _same_text(session: Session, neuron_id: int) -> tuple[SimilarNeuron, ...]:
    return tuple(
        SimilarNeuron(row.layer, row.number, row.current_text[:TEXT_SHOWN], 1, 1)
        for row in _of_text(session, neuron_id, MOST_SHOWN)
    )


def _of_text(session: Session, neuron_id: int, limit: int) -> Sequence[Any]:
    """Found by the index of the texts' digests."""
    own = session.execute(select(Neuron.subject_id, Neuron.current_text).where(Neuron.id == neuron_id)).one()
    if own.current_text is None:
        return ()
    return session.execute(
        select(Neuron.id, Neuron.layer, Neuron.index.label("number"), Neuron.current_text)
        .where(
            Neuron.subject_id == own.subject_id,
            func.md5(Neuron.current_text) == func.md5(own.current_text),
            Neuron.current_text == own.current_text,
            Neuron.id != neuron_id,
        )
        .order_by(Neuron.id)
        .limit(limit)
    ).all()


def _shared_peaks(
    session: Session, neuron_id: int, collection_id: int, candidates: Sequence[int]
) -> tuple[dict[int, int], int]:
    """How many top excerpts each candidate shares, for those that share any; and how many the neuron has."""
    ids = bindparam("ids", [neuron_id, *candidates], type_=ARRAY(BigInteger))
    rows = session.execute(
        select(Sample.neuron_id, Sample.excerpt_ids).where(
            Sample.neuron_id == func.any(ids), Sample.collection_id == collection_id, Sample.kind == SampleKind.TOP
        )
    )
    by_neuron = {row.neuron_id: set(row.excerpt_ids) for row in rows}
    own = by_neuron.pop(neuron_id, set())
    return {i: n for i, top in by_neuron.items() if (n := len(own & top))}, len(own)


def _shown(session: Session, shared: Mapping[int, int], n_all: int) -> tuple[SimilarNeuron, ...]:
    """In the order of ``shared``, numbers by the neuron's id."""
    if not shared:
        return ()
    text = func.left(Neuron.current_text, TEXT_SHOWN).label("text")
    rows = session.execute(
        select(Neuron.id, Neuron.layer, Neuron.index.label("number"), text).where(Neuron.id == func.any(list(shared)))
    )
    found: dict[int, Any] = {row.id: row for row in rows}
    return tuple(
        SimilarNeuron(found[i].layer, found[i].number, found[i].text, n, n_all) for i, n in shared.items() if i in found
    )
