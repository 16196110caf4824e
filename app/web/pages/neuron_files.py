"""All neurons of a list as a file: every one that matches its filters, in its order."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from app.db import Sessions
from app.formats.tables import ROWS_AT_ONCE, TableFormat, stream_table
from app.queries.lists.entries import ListEntry, entries_of
from app.queries.neurons.listing import NeuronsQuery, every_neuron
from app.queries.neurons.rows import NeuronRow
from app.queries.subjects.lookup import subject_head
from app.web.deps import DbSession, ReadingSessions
from app.web.http.routing import PageRouter
from app.web.listing.sent_filters import ListFilters

router = PageRouter()


@dataclass(frozen=True, slots=True)
class NeuronLine:
    """A neuron in a file. Scores have their 95% intervals; shares are 0..1, activations in the model's own units."""

    subject: str
    layer: int
    index: int
    explanation_id: int | None
    explanation: str | None
    no_explanation_found: bool
    """Whether a method has looked and found nothing worth saying, and nothing else explains the neuron."""
    whole_corpus_score: float | None
    whole_corpus_low: float | None
    whole_corpus_high: float | None
    whole_corpus_simulator: str | None
    precision: float | None
    recall: float | None
    margin_over_token_table: float | None
    """Of the whole-corpus score; of the 2023 score where there is no other."""
    null_twin_percentile: float | None
    score_2023: float | None
    score_2023_low: float | None
    score_2023_high: float | None
    score_2023_simulator: str | None
    firing_rate: float | None
    maximum: float | None
    n_explanations: int
    n_open_flags: int
    note: str | None
    """The note in the list of neurons that the filters name."""
    verdict: str | None
    doubts: str | None
    """Their names with spaces between; empty where the explanation has none."""


@router.get("/{slug}/neurons.{format}", include_in_schema=False)
def neurons_as_file(
    session: DbSession,
    reading: ReadingSessions,
    slug: str,
    format: TableFormat,
    filters: ListFilters,
) -> StreamingResponse:
    """Every neuron that the filters match, however many there are."""
    head = subject_head(session, slug=slug)
    filters = filters.of_subject(has_headlines=head.has_headlines)
    lines = _lines(reading, slug, NeuronsQuery(head.id, filters.filter, filters.sort))
    headers = {"Content-Disposition": f'attachment; filename="{slug}-neurons.{format}"'}
    content = stream_table(lines, NeuronLine, format=format)
    return StreamingResponse(content, media_type=format.media_type, headers=headers)


def _lines(reading: Sessions, slug: str, query: NeuronsQuery) -> Iterator[NeuronLine]:
    """A page of the list after the other, each in a session of its own: none is held while the reader is slow."""
    after: str | None = None
    while True:
        with reading() as session:
            page = every_neuron(session, query=query, after=after, size=ROWS_AT_ONCE)
            entries = _entries(session, query, [row.id for row in page.rows])
        yield from (_line(slug, row, entries.get(row.id)) for row in page.rows)
        if page.next is None:
            return
        after = page.next


def _entries(session: Session, query: NeuronsQuery, neuron_ids: list[int]) -> Mapping[int, ListEntry]:
    chosen = query.filter.in_list
    return {} if chosen is None else entries_of(session, list_id=chosen.id, neuron_ids=neuron_ids)


def _line(slug: str, row: NeuronRow, entry: ListEntry | None) -> NeuronLine:
    is_whole = row.is_whole_corpus
    headline_low, headline_high = row.headline_interval or (None, None)
    low, high = row.interval or (None, None)
    return NeuronLine(
        subject=slug,
        layer=row.layer,
        index=row.index,
        explanation_id=row.explanation_id,
        explanation=row.explanation,
        no_explanation_found=row.found_nothing,
        whole_corpus_score=row.headline if is_whole else None,
        whole_corpus_low=headline_low if is_whole else None,
        whole_corpus_high=headline_high if is_whole else None,
        whole_corpus_simulator=row.simulator if is_whole else None,
        precision=row.precision,
        recall=row.recall,
        margin_over_token_table=row.margin,
        null_twin_percentile=row.twin_percentile,
        score_2023=row.score,
        score_2023_low=low,
        score_2023_high=high,
        score_2023_simulator=row.score_simulator,
        firing_rate=row.firing_rate,
        maximum=row.max,
        n_explanations=row.n_explanations,
        n_open_flags=row.n_open_flags,
        note=None if entry is None else entry.note or None,
        verdict=None if row.verdict is None else row.verdict.text,
        doubts=None if row.verdict is None else " ".join(row.verdict.doubts),
    )
