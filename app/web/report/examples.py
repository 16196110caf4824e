"""The examples of a report, with their excerpts as heatmaps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.heat import heat_scale, heat_steps
from app.models import Neuron, Subject
from app.queries.audit.examples import ExampleItem
from app.queries.neurons.page import StoredExcerpt, stored_excerpts
from app.queries.review.evidence import item_evidence
from app.web.heat.heatmap import heat_rows, strip
from app.web.heat.vocabularies import Vocabularies
from app.web.neuron.evidence import unpacked

N_ROWS = 3
BEFORE, AFTER = 20, 7
"""Tokens shown before and after a peak."""


@dataclass(frozen=True, slots=True)
class ExampleRow:
    """An excerpt around its peak, activations in the model's own units."""

    excerpt_id: int
    peak: float
    tokens: list[str]
    activations: list[float]
    line: Annotated[str, Field(exclude=True)]


@dataclass(frozen=True, slots=True)
class ExampleVerdict:
    """One verdict on an example."""

    verdict: str
    note: str


@dataclass(frozen=True, slots=True)
class Example:
    """An item with its text, its verdicts and what the neuron fires on."""

    item_id: int
    explanation_id: int
    neuron: str
    text: str
    outcome: str | None
    verdicts: tuple[ExampleVerdict, ...]
    rows: tuple[ExampleRow, ...]


def shown_examples(session: Session, known: Vocabularies, examples: Sequence[ExampleItem]) -> tuple[Example, ...]:
    """Examples with the three excerpts on which the neuron fires most, of those that reviewers saw."""
    return tuple(_example(session, known, each) for each in examples)


def _example(session: Session, known: Vocabularies, example: ExampleItem) -> Example:
    item = example.item
    return Example(
        item_id=item.id,
        explanation_id=item.explanation_id,
        neuron=f"{item.slug}/{item.layer}/{item.index}",
        text=item.text,
        outcome=None if item.outcome is None else str(item.outcome),
        verdicts=tuple(ExampleVerdict(str(verdict.kind), verdict.note) for verdict in example.verdicts),
        rows=_rows(session, known, example),
    )


def _rows(session: Session, known: Vocabularies, example: ExampleItem) -> tuple[ExampleRow, ...]:
    evidence = item_evidence(session, item=example.item)
    excerpts = stored_excerpts(session, excerpt_ids=set(evidence.excerpt_ids))
    flat, end, found = unpacked(evidence.activations), 0, []
    for excerpt_id in evidence.excerpt_ids:
        start, end = end, end + len(excerpts[excerpt_id].token_ids)
        values = flat[start:end]
        peak = int(values.argmax()) if values.size else 0
        window = slice(max(0, peak - BEFORE), peak + AFTER)
        found.append((float(values.max(initial=-np.inf)), excerpt_id, window, values))
    found.sort(key=lambda each: (-each[0], each[1]))
    chosen = found[:N_ROWS]
    if not chosen:
        return ()
    scale, tokenizer_id = _neuron(session, example.item.neuron_id)
    tokens = [_cut(excerpts[i], window) for _, i, window, _ in chosen]
    words = known.get(session, tokenizer_id=tokenizer_id, biggest_token=max(map(max, tokens)))
    cut = np.concatenate([values[window] for _, _, window, values in chosen])
    rows = heat_rows(tokens, cut, heat_steps(cut, scale))
    return tuple(
        ExampleRow(
            excerpt_id=i,
            peak=peak,
            tokens=words.strings(ids),
            activations=values[window].tolist(),
            line=strip(heat, words),
        )
        for (peak, i, window, values), ids, heat in zip(chosen, tokens, rows, strict=True)
    )


def _cut(excerpt: StoredExcerpt, window: slice) -> list[int]:
    return list(excerpt.token_ids[window])


def _neuron(session: Session, neuron_id: int) -> tuple[float, int]:
    row = session.execute(
        select(Neuron.max, Neuron.min, Subject.tokenizer_id)
        .join(Subject, Subject.id == Neuron.subject_id)
        .where(Neuron.id == neuron_id)
    ).one()
    return heat_scale(row.max, row.min), row.tokenizer_id
