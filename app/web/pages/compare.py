"""Explanations of one neuron side by side, on the same excerpts and on one scale; or two neurons."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query
from pydantic import Field

from app.domain.bounds import BIGGEST_ID, LONGEST_FIELD, MOST_IDS_IN_ADDRESS, MOST_SIDE_BY_SIDE
from app.queries.explanations.comparison import chosen_explanations
from app.queries.neurons.claims import neuron_explanations
from app.queries.neurons.head import NeuronHead
from app.queries.neurons.page import simulated_samples
from app.web.deps import DbSession
from app.web.http.routing import PageRouter
from app.web.neuron.address import ROUTE, Head, path_of
from app.web.neuron.comparison import (
    AgainstFirst,
    ComparedColumn,
    ComparedExcerpt,
    ScoreLine,
    against_first,
    compared_columns,
    compared_excerpts,
    score_lines,
    simulators_differ,
)
from app.web.neuron.evidence import KnownVocabularies, real_rows, row_source
from app.web.neuron.pairs import NeuronPair, neuron_pair
from app.web.rendering.templating import page

router = PageRouter()


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
    results: tuple[AgainstFirst, ...]
    """Each further explanation against the first on the same excerpts; empty where simulators differ."""
    scores: tuple[ScoreLine, ...]
    excerpts: tuple[ComparedExcerpt, ...]
    choices: tuple[ExplanationChoice, ...]
    most: int
    pair: NeuronPair | None = None
    """The neuron beside another one, where the address names one."""

    @property
    def numbers_query(self) -> str:
        """What the address of an excerpt's numbers adds, for all columns."""
        return f"?{urlencode([('explanation', column.id) for column in self.columns])}"


@page(router, f"{ROUTE}/compare", template="neuron/compare.html", is_kept=True)
def compare(
    session: DbSession,
    head: Head,
    known: KnownVocabularies,
    explanation: Annotated[
        list[Annotated[int, Field(ge=1, le=BIGGEST_ID)]] | None,
        Query(description="Ids of explanations, the reference first.", max_length=MOST_IDS_IN_ADDRESS),
    ] = None,
    against: Annotated[
        str | None, Query(description="Another neuron of the subject, layer/index.", max_length=LONGEST_FIELD)
    ] = None,
) -> NeuronCompare:
    """Up to four explanations of a neuron, texts, scores and expected activations; or the neuron beside another."""
    explanations = neuron_explanations(session, neuron_id=head.id)
    chosen = chosen_explanations(explanations, explanation or ())
    ids = [row.id for row in chosen]
    simulations, samples = simulated_samples(session, neuron_id=head.id, explanation_ids=ids)
    source = row_source(session, known, head=head, samples=samples, simulations=simulations)
    columns = compared_columns(chosen, simulations)
    excerpts = compared_excerpts(source, real_rows(source, samples), columns, simulations)
    differ = simulators_differ(columns)
    return NeuronCompare(
        neuron=head,
        address=path_of(head),
        scale=source.scale,
        columns=columns,
        simulators_differ=differ,
        results=against_first(columns, excerpts, is_one_simulator=not differ),
        scores=score_lines(chosen),
        excerpts=excerpts,
        choices=tuple(ExplanationChoice(c.id, c.text, c.by, c.id in ids) for c in explanations),
        most=MOST_SIDE_BY_SIDE,
        pair=None if not against else neuron_pair(session, known, head, against),
    )
