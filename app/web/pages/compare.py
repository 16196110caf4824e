"""Explanations of one neuron side by side, on the same excerpts and on one scale."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from app.domain.bounds import BIGGEST_ID, MOST_IDS_IN_ADDRESS, MOST_SIDE_BY_SIDE
from app.queries.explanations.comparison import chosen_explanations
from app.queries.neurons.claims import neuron_explanations
from app.queries.neurons.head import NeuronHead
from app.queries.neurons.page import neuron_samples, stored_simulations
from app.web.deps import DbSession
from app.web.neuron.address import ROUTE, Head, path_of
from app.web.neuron.comparison import (
    ComparedColumn,
    ComparedExcerpt,
    ScoreLine,
    compared_columns,
    compared_excerpts,
    score_lines,
    simulators_differ,
)
from app.web.neuron.evidence import KnownVocabularies, real_rows, row_source
from app.web.rendering.templating import page

router = APIRouter()


@dataclass(frozen=True, slots=True)
class ExplanationChoice:
    """An explanation that may be compared."""

    id: int
    text: str
    by: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class NeuronCompare:
    """Explanations as columns; scores and excerpts as rows."""

    neuron: NeuronHead
    address: str
    scale: float
    """The activation that heatmaps draw at full strength."""
    columns: tuple[ComparedColumn, ...]
    simulators_differ: bool
    scores: tuple[ScoreLine, ...]
    excerpts: tuple[ComparedExcerpt, ...]
    choices: tuple[ExplanationChoice, ...]
    most: int


@page(router, f"{ROUTE}/compare", template="neuron/compare.html")
def compare(
    session: DbSession,
    head: Head,
    known: KnownVocabularies,
    explanation: Annotated[
        list[Annotated[int, Field(ge=1, le=BIGGEST_ID)]] | None,
        Query(description="Ids of explanations, the reference first.", max_length=MOST_IDS_IN_ADDRESS),
    ] = None,
) -> NeuronCompare:
    """Up to four explanations of a neuron: texts, scores, and what each expects of the scored excerpts."""
    explanations = neuron_explanations(session, neuron_id=head.id)
    chosen = chosen_explanations(explanations, explanation or ())
    ids = [row.id for row in chosen]
    simulations = stored_simulations(session, explanation_ids=ids)
    collections = {s.collection_id for s in simulations if s.collection_id is not None}
    samples = neuron_samples(session, neuron_id=head.id, collection_ids=collections)
    source = row_source(session, known, head=head, samples=samples, simulations=simulations)
    columns = compared_columns(chosen, simulations)
    return NeuronCompare(
        neuron=head,
        address=path_of(head),
        scale=source.scale,
        columns=columns,
        simulators_differ=simulators_differ(columns),
        scores=score_lines(chosen),
        excerpts=compared_excerpts(source, real_rows(source, samples), columns, simulations),
        choices=tuple(ExplanationChoice(c.id, c.text, c.by, c.id in ids) for c in explanations),
        most=MOST_SIDE_BY_SIDE,
    )
