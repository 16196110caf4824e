"""Neurons of one subject paired with the neurons of another that fire most similarly on the same text.

Two separately trained models do not have the same neuron at the same (layer, index), but they share the corpus:
excerpts are stored once for all collections that cut the corpus equally, so that neurons of different subjects can have
the same top excerpts.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ARRAY, BigInteger, bindparam, func, select
from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from app.domain.arrays import Float32s
from app.domain.cofiring import cofiring
from app.domain.intervals import Interval, share_interval
from app.domain.means import mean_of_sums
from app.domain.scores import Estimate
from app.models import Collection, Neuron, Subject
from app.queries.neurons.tops import top_activations

MOST_DRAWN = 60
"""Neurons of the first subject that are matched; each needs a look-up in the other subject."""
MOST_CANDIDATES = 40
"""Neurons of the other subject with the most common strongest tokens, whose top excerpts are compared."""
MOST_SHARING = 5_000
"""Neurons with any common strongest token that are counted at most."""
LEAST_SHARED = 3
"""Top excerpts that two neurons must share: a correlation over a single one is not informative."""
SEED = 1


@dataclass(frozen=True, slots=True)
class MatchedNeuron:
    """One of two matched neurons, with the explanation shown first."""

    layer: int
    index: int
    text: str | None
    headline: float | None


@dataclass(frozen=True, slots=True)
class CofiringPair:
    """A neuron of the first subject and the most similar one of the second."""

    first: MatchedNeuron
    second: MatchedNeuron
    n_shared: int
    """Number of top excerpts that both have."""
    cofiring: float
    """Correlation of both neurons' activations; see ``app.domain.cofiring``."""
    is_comparable: bool
    """Whether both headlines are by the same scorer and simulator."""

    @property
    def difference(self) -> float | None:
        """The second headline minus the first; None if not comparable."""
        if not self.is_comparable or self.first.headline is None or self.second.headline is None:
            return None
        return self.second.headline - self.first.headline


@dataclass(frozen=True, slots=True)
class CofiringCompared:
    """A random sample of the first subject's explained neurons, each with its most similar neuron of the second."""

    same_corpus: bool
    """Whether both were read on the same corpus; if not, nothing is matched."""
    n_drawn: int
    pairs: tuple[CofiringPair, ...]
    """The sampled neurons that have a match, the most similar first."""
    n_explained: int
    """Pairs explained on both sides."""
    n_same_text: int
    """Pairs that have the same explanation, word for word."""
    same_text_interval: Interval | None
    """The 95% interval of the share of such pairs; None without pairs."""
    n_compared: int
    """Pairs explained on both sides with comparable headlines."""
    difference: Estimate
    """Their mean difference, second minus first."""


def _compared(pairs: Sequence[CofiringPair], n_drawn: int, *, same_corpus: bool = True) -> CofiringCompared:
    """The pairs in order, with their summary."""
    explained = [pair for pair in pairs if pair.second.text is not None]
    same = sum(pair.first.text == pair.second.text for pair in explained)
    gaps = [gap for pair in explained if (gap := pair.difference) is not None]
    return CofiringCompared(
        same_corpus=same_corpus,
        n_drawn=n_drawn,
        pairs=tuple(sorted(pairs, key=lambda pair: (-pair.cofiring, pair.first.layer, pair.first.index))),
        n_explained=len(explained),
        n_same_text=same,
        same_text_interval=share_interval(same, len(explained)) if explained else None,
        n_compared=len(gaps),
        difference=mean_of_sums(len(gaps), sum(gaps), sum(gap * gap for gap in gaps)),
    )


_IDS = bindparam("ids", type_=ARRAY(BigInteger))
_CANDIDATES = sql("""
    SELECT own.neuron_id AS first, near.neuron_id AS second
    FROM collected_neuron AS own, LATERAL (
        SELECT neuron_id, count(*) AS n_shared
        FROM (
            SELECT neuron_id, unnest(strongest_tokens) AS token_id
            FROM (
                SELECT neuron_id, strongest_tokens FROM collected_neuron AS other
                WHERE other.strongest_tokens && own.strongest_tokens AND other.collection_id = :second
                LIMIT :most_sharing
            ) AS sharing
        ) AS tokens
        WHERE token_id = ANY(own.strongest_tokens)
        GROUP BY neuron_id ORDER BY n_shared DESC, neuron_id LIMIT :most
    ) AS near
    WHERE own.collection_id = :first AND own.neuron_id = ANY(:ids)
""").bindparams(_IDS)


def subjects_by_cofiring(session: Session, *, first: int, second: int) -> CofiringCompared:
    """Up to ``MOST_DRAWN`` neurons of the first subject with their nearest in the second. Six queries."""
    shown = {
        row.id: row
        for row in session.execute(
            select(Subject.id, Subject.collection_id, Collection.corpus_id, Subject.tokenizer_id)
            .join(Collection, Collection.id == Subject.collection_id)
            .where(Subject.id.in_((first, second)))
        )
    }
    if len(shown) < 2 or len({(row.corpus_id, row.tokenizer_id) for row in shown.values()}) > 1:
        return _compared((), 0, same_corpus=False)
    collections = (shown[first].collection_id, shown[second].collection_id)
    drawn = _drawn(session, first)
    candidates = _candidates(session, drawn, collections)
    others = sorted({other for near in candidates.values() for other in near})
    tops = top_activations(session, neuron_ids=[*drawn, *others], collection_ids=collections)
    nearest = {own: _nearest(tops, own, candidates[own]) for own in drawn if own in candidates}
    found = {own: match for own, match in nearest.items() if match is not None}
    neurons = _neurons(session, [*found, *(other for other, _, _ in found.values())])
    pairs = [
        CofiringPair(neurons[own][0], neurons[other][0], n_shared, together, neurons[own][1] == neurons[other][1])
        for own, (other, n_shared, together) in found.items()
    ]
    return _compared(pairs, len(drawn))


def _drawn(session: Session, subject_id: int) -> list[int]:
    """The same sample each time: the neurons with the lowest hashes."""
    return list(
        session.scalars(
            select(Neuron.id)
            .where(Neuron.subject_id == subject_id, Neuron.current_explanation_id.is_not(None))
            .order_by(func.hashint8extended(Neuron.id, SEED), Neuron.id)
            .limit(MOST_DRAWN)
        )
    )


def _candidates(session: Session, drawn: Sequence[int], collections: tuple[int, int]) -> Mapping[int, list[int]]:
    """For each sampled neuron, the other subject's neurons that share the most strongest tokens."""
    parameters = {"ids": drawn, "first": collections[0], "second": collections[1]}
    parameters |= {"most_sharing": MOST_SHARING, "most": MOST_CANDIDATES}
    found = defaultdict[int, list[int]](list)
    for row in session.execute(_CANDIDATES, parameters):
        found[row.first].append(row.second)
    return found


def _nearest(
    tops: Mapping[int, dict[int, Float32s]], own: int, candidates: Sequence[int]
) -> tuple[int, int, float] | None:
    """The candidate with the highest correlation, with the number of shared excerpts; None if none shares enough."""
    mine = tops.get(own, {})
    found = []
    for other in candidates:
        shared = len(mine.keys() & tops.get(other, {}).keys())
        together = cofiring(mine, tops[other]) if shared >= LEAST_SHARED else None
        if together is not None:
            found.append((other, shared, together))
    return max(found, key=lambda match: (match[2], match[1], -match[0]), default=None)


def _neurons(session: Session, ids: Sequence[int]) -> Mapping[int, tuple[MatchedNeuron, tuple[str | None, str | None]]]:
    """Each neuron, and the scorer and simulator of its headline."""
    rows = session.execute(
        select(
            Neuron.id,
            Neuron.layer,
            Neuron.index.label("number"),
            Neuron.current_text,
            Neuron.headline_score,
            Neuron.headline_scorer,
            Neuron.headline_simulator,
        ).where(Neuron.id == func.any(_IDS)),
        {"ids": ids},
    )
    return {
        row.id: (
            MatchedNeuron(row.layer, row.number, row.current_text, row.headline_score),
            (row.headline_scorer, row.headline_simulator),
        )
        for row in rows
    }
