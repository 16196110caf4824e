"""The numbers of one excerpt: a neuron's activation on every token, and what explanations expect of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from fastapi import Query
from markupsafe import Markup
from pydantic import Field
from sqlalchemy.orm import Session

from app.domain.activations import NORMALISED_MAXIMUM
from app.domain.arrays import Float32s
from app.domain.bounds import BIGGEST_ID, MOST_SIDE_BY_SIDE
from app.domain.heat import heat_scale
from app.errors import NotFound
from app.queries.checks.page import executed_check
from app.queries.neurons.head import NeuronHead
from app.queries.neurons.page import StoredExcerpt, samples_with, stored_excerpts, stored_simulations
from app.web.deps import DbSession, IdInPath
from app.web.heat.glyphs import visible
from app.web.http.routing import PageRouter
from app.web.neuron.address import ROUTE, Head, path_of
from app.web.neuron.comparison import LETTERS
from app.web.neuron.evidence import KnownVocabularies, Line, RowSource, unpacked
from app.web.neuron.simulations import Expected, numbers
from app.web.rendering.templating import page

router = PageRouter()


@dataclass(frozen=True, slots=True)
class ExpectedNumbers:
    """What one explanation expects of the excerpt, in the model's own units."""

    explanation_id: int
    activations: list[float]


@dataclass(frozen=True, slots=True)
class NeuronExcerpt:
    """One excerpt with a number per token."""

    neuron: NeuronHead
    address: str
    excerpt_id: int
    document: str | None
    position: int
    tokens: list[str]
    activations: list[float]
    expected: tuple[ExpectedNumbers, ...]
    scale: float
    table: Line

    @property
    def strongest(self) -> Markup:
        """HTML of the token with the highest activation."""
        token = self.tokens[int(np.argmax(self.activations))]
        return Markup(visible(token))  # noqa: S704 - escaped there


@page(
    router,
    f"{ROUTE}/excerpts/{{excerpt_id}}",
    template="neuron/excerpt.html",
    partial="neuron/_excerpt.html",
    is_kept=True,
)
def excerpt(
    session: DbSession,
    head: Head,
    known: KnownVocabularies,
    excerpt_id: IdInPath,
    explanation: Annotated[
        list[Annotated[int, Field(ge=1, le=BIGGEST_ID)]] | None,
        Query(description="Ids of explanations whose expected activations are shown.", max_length=MOST_SIDE_BY_SIDE),
    ] = None,
) -> NeuronExcerpt:
    """A neuron's activation on every token of an excerpt, and what explanations expect of it."""
    wanted = list(dict.fromkeys(explanation or ()))
    record = _record(session, head, excerpt_id, wanted)
    if record is None:
        raise NotFound("Nothing is stored of this neuron on this excerpt.")
    words = known.get(session, tokenizer_id=head.tokenizer_id, biggest_token=max(record.shown.token_ids, default=0))
    scale = heat_scale(head.statistics.max, head.statistics.min) or float(np.abs(record.real).max(initial=0))
    source = RowSource({excerpt_id: record.shown}, words, scale)
    columns = [
        Expected(
            "Expected" if len(wanted) == 1 else f"Expected by {LETTERS[wanted.index(own.id)]}", own.levels, own.unit
        )
        for own in record.expected
    ]
    return NeuronExcerpt(
        neuron=head,
        address=path_of(head),
        excerpt_id=excerpt_id,
        document=record.shown.document,
        position=record.shown.position,
        tokens=source.strings(record.shown.token_ids),
        activations=record.real.tolist(),
        expected=tuple(
            ExpectedNumbers(own.id, (own.levels * np.float32(own.unit)).tolist()) for own in record.expected
        ),
        scale=scale,
        table=numbers(source, record.shown.token_ids, record.real, columns),
    )


@dataclass(frozen=True, slots=True)
class _Levels:
    """What the explanation ``id`` expects [T], 0..10, of which 1 is ``unit`` in the model's units."""

    id: int
    levels: Float32s
    unit: float


@dataclass(frozen=True, slots=True)
class _Record:
    """An excerpt with the neuron's activations [T]."""

    shown: StoredExcerpt
    real: Float32s
    expected: tuple[_Levels, ...]


def _record(session: Session, head: NeuronHead, excerpt_id: int, explanation_ids: Sequence[int]) -> _Record | None:
    """From the samples, the simulations and, for what executing one explanation has found, its check."""
    samples = samples_with(session, neuron_id=head.id, excerpt_id=excerpt_id)[:1]
    simulations = [
        each
        for each in stored_simulations(session, explanation_ids=explanation_ids)
        if excerpt_id in each.excerpt_ids and str(each.excerpt_ids.index(excerpt_id)) not in each.failures
    ]
    check = executed_check(session, explanation_id=explanation_ids[0]) if len(explanation_ids) == 1 else None
    mistakes = [m for m in (() if check is None else check.mistakes) if excerpt_id in m.excerpt_ids]
    stored_ids = [each.excerpt_ids for each in samples]
    stored_ids += [each.excerpt_ids for each in simulations] + [each.excerpt_ids for each in mistakes]
    ids = {i for own in stored_ids for i in own}
    excerpts = stored_excerpts(session, excerpt_ids=ids)
    expected = {
        s.explanation_id: _Levels(s.explanation_id, _own(s.expected, s.excerpt_ids, excerpts, excerpt_id), s.unit)
        for s in simulations
    }
    real = next((_own(s.activations, s.excerpt_ids, excerpts, excerpt_id) for s in samples), None)
    unit = 0.0 if check is None else (check.figures.maximum or 0.0) / NORMALISED_MAXIMUM
    for mistake in mistakes:
        levels = _own(mistake.expected, mistake.excerpt_ids, excerpts, excerpt_id)
        expected.setdefault(explanation_ids[0], _Levels(explanation_ids[0], levels, unit))
        real = _own(mistake.activations, mistake.excerpt_ids, excerpts, excerpt_id) if real is None else real
    if real is None:
        return None
    ordered = tuple(expected[i] for i in explanation_ids if i in expected)
    return _Record(excerpts[excerpt_id], real, ordered)


def _own(packed: bytes, excerpt_ids: Sequence[int], excerpts: Mapping[int, StoredExcerpt], excerpt_id: int) -> Float32s:
    """The values of one excerpt among those that are laid end to end."""
    start = sum(len(excerpts[i].token_ids) for i in excerpt_ids[: excerpt_ids.index(excerpt_id)])
    return unpacked(packed)[start : start + len(excerpts[excerpt_id].token_ids)]
