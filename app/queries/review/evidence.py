"""The evidence of an item: the excerpts that its reviewers see, and the other explanations of its neuron."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import BigInteger, ScalarSelect, String, bindparam, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from app.domain.executed import Mistake
from app.domain.samples import SampleKind
from app.domain.shown_evidence import chosen, evidence_seed
from app.models import CheckMistake, Excerpt, Explanation, Sample
from app.queries.common.prepared import PendingRows, PreparedSelect, Reads, one_statement
from app.queries.review.shown import ItemShown

MOST_OTHER_TEXTS = 20
"""Other explanations of a neuron that a reviewer may compare with the judged one."""


@dataclass(frozen=True, slots=True)
class EvidenceRecords:
    """Excerpts of one neuron, activations float16 laid end to end in the order of ``excerpt_ids``."""

    excerpt_ids: list[int]
    activations: bytes


@dataclass(frozen=True, slots=True)
class _StoredRecords:
    """The records of one kind: ``activations`` are float16, as many as ``lengths`` add up to."""

    kind: str
    excerpt_ids: list[int]
    activations: bytes
    lengths: list[int] | None
    """Tokens of each excerpt; None without excerpts."""


@dataclass(frozen=True, slots=True)
class _OtherText:
    text: str


def _lengths(excerpt_ids: Any) -> ScalarSelect[Any]:
    excerpt = func.unnest(excerpt_ids).table_valued("id", with_ordinality="number").render_derived()
    lengths = func.array_agg(aggregate_order_by(Excerpt.length, excerpt.c.number))
    return select(lengths).select_from(excerpt).join(Excerpt, Excerpt.id == excerpt.c.id).scalar_subquery()


_COLLECTION_ID = bindparam("collection_id", type_=BigInteger)
_SAMPLES = PreparedSelect(
    _StoredRecords,
    select(Sample.kind, Sample.excerpt_ids, Sample.activations, _lengths(Sample.excerpt_ids).label("lengths")).where(
        Sample.neuron_id == bindparam("neuron_id", type_=BigInteger), Sample.collection_id == _COLLECTION_ID
    ),
)
_MISTAKES = PreparedSelect(
    _StoredRecords,
    select(
        CheckMistake.kind,
        CheckMistake.excerpt_ids,
        CheckMistake.activations,
        _lengths(CheckMistake.excerpt_ids).label("lengths"),
    ).where(
        CheckMistake.explanation_id == bindparam("explanation_id", type_=BigInteger),
        CheckMistake.collection_id == _COLLECTION_ID,
    ),
)
_REPLACED = select(Explanation.text).where(Explanation.id == bindparam("explanation_id", type_=BigInteger))
_OTHERS = PreparedSelect(
    _OtherText,
    select(Explanation.text)
    .where(
        Explanation.neuron_id == bindparam("neuron_id", type_=BigInteger),
        Explanation.text != bindparam("text", type_=String),
        Explanation.text != _REPLACED.scalar_subquery(),
    )
    .distinct()
    .order_by(Explanation.text)
    .limit(MOST_OTHER_TEXTS),
)


@dataclass(frozen=True, slots=True)
class PendingEvidence:
    """The evidence of an item, available after the statement that reads it."""

    item: ItemShown
    samples: PendingRows[_StoredRecords]
    mistakes: PendingRows[_StoredRecords]

    def found(self) -> EvidenceRecords:
        """The excerpts that every reviewer of the item sees, each once. See ``app.domain.shown_evidence``."""
        sets: dict[SampleKind | Mistake, _StoredRecords] = {SampleKind(row.kind): row for row in self.samples.rows}
        sets |= {Mistake(row.kind): row for row in self.mistakes.rows}
        picked = chosen(
            {kind: len(row.excerpt_ids) for kind, row in sets.items()},
            seed=evidence_seed(self.item.campaign_seed, self.item.id),
        )
        found: dict[int, bytes] = {}
        for kind, indices in picked.items():
            if indices:
                row = sets[kind]
                ends = np.cumsum(row.lengths or []).tolist()
                for index in indices:
                    start = ends[index - 1] if index else 0
                    found.setdefault(row.excerpt_ids[index], row.activations[2 * start : 2 * ends[index]])
        return EvidenceRecords(list(found), b"".join(found.values()))


@dataclass(frozen=True, slots=True)
class PendingTexts:
    """The other explanations of an item's neuron, available after the statement that reads them."""

    item: ItemShown
    texts: PendingRows[_OtherText]

    def found(self) -> tuple[str, ...]:
        """The texts, without authors, in an order that the item's seed decides."""
        seed = evidence_seed(self.item.campaign_seed, self.item.id)
        order = np.random.default_rng(seed).permutation(len(self.texts.rows))
        return tuple(self.texts.rows[i].text for i in order)


def send_evidence(asked: Reads, item: ItemShown) -> PendingEvidence:
    """Add the query of an item's evidence to a statement. A neuron without a collection has none."""
    collection_id = item.collection_id or 0
    return PendingEvidence(
        item,
        asked.send(_SAMPLES.given(neuron_id=item.neuron_id, collection_id=collection_id)),
        asked.send(_MISTAKES.given(explanation_id=item.explanation_id, collection_id=collection_id)),
    )


def send_other_texts(asked: Reads, item: ItemShown) -> PendingTexts:
    """Add the query of the other explanations of an item's neuron to a statement.

    If the text was planted, the explanation that it replaces is left out: with one text more than its neighbours, or
    with the right text beside a wrong one, an item would be recognised as a control.
    """
    wanted = {"neuron_id": item.neuron_id, "text": item.text, "explanation_id": item.explanation_id}
    return PendingTexts(item, asked.send(_OTHERS.given(**wanted)))


def item_evidence(session: Session, *, item: ItemShown) -> EvidenceRecords:
    """The excerpts that every reviewer of the item sees, each once; empty for a neuron without records. One query."""
    with one_statement(session) as asked:
        pending = send_evidence(asked, item)
    return pending.found()


def other_texts(session: Session, *, item: ItemShown) -> tuple[str, ...]:
    """The other explanations of the item's neuron, in an order that the item's seed decides. One query."""
    with one_statement(session) as asked:
        pending = send_other_texts(asked, item)
    return pending.found()
