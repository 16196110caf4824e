"""Everything about a subject's neurons for programs: one JSON object per line, as many as there are.

A response is streamed, each chunk from a session of its own. ``after`` continues after a neuron's address.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import StreamingResponse
from pydantic import TypeAdapter

from app.db import Sessions
from app.domain.bounds import BIGGEST_INDEX, BIGGEST_LAYER, LONGEST_FIELD
from app.errors import Invalid
from app.formats.tables import TableFormat, stream_table
from app.queries.exports.bulk import (
    CHUNK,
    Address,
    BulkExplanation,
    BulkNeuron,
    BulkScore,
    ReadChunk,
    explanation_rows,
    neuron_rows,
    score_rows,
)
from app.queries.subjects.lookup import subject_head
from app.web.deps import DbSession, ReadingSessions
from app.web.http.routing import PageRouter
from app.web.rendering.templating import PROBLEMS

router = PageRouter()

MOST_NEURONS = 1_000_000


@dataclass(frozen=True, slots=True)
class BulkTable:
    """A table of the API."""

    name: str
    row: type[Any]
    read: ReadChunk
    summary: str


TABLES = (
    BulkTable(
        "neurons",
        BulkNeuron,
        neuron_rows,
        "Every neuron of a subject with its statistics and the explanation that is shown first",
    ),
    BulkTable(
        "explanations",
        BulkExplanation,
        explanation_rows,
        "Every explanation of a subject's neurons, those that are not shown as well",
    ),
    BulkTable("scores", BulkScore, score_rows, "Every score of these explanations, with interval and baselines"),
)


def _register(table: BulkTable) -> None:
    format = TableFormat.JSONL
    content = {"application/jsonl": {"schema": TypeAdapter(table.row).json_schema()}}

    def rows(
        session: DbSession,
        reading: ReadingSessions,
        slug: str,
        after: Annotated[
            str,
            Query(
                max_length=LONGEST_FIELD,
                description="Go on after this neuron, LAYER/INDEX: all of its rows were in the response before",
                examples=["0/16"],
            ),
        ] = "",
        limit: Annotated[
            int, Query(ge=1, le=MOST_NEURONS, description="Most neurons whose rows are in the response")
        ] = MOST_NEURONS,
    ) -> StreamingResponse:
        subject_id = subject_head(session, slug=slug).id
        lines = _lines(reading, table.read, subject_id, _address(after), limit)
        stream = stream_table(lines, table.row, format=format)
        return StreamingResponse(stream, media_type=format.media_type)

    rows.__doc__ = f"""{table.summary}.

    One JSON object per line, in the order of layers and indices. Ids are stable: they are never changed or used again.
    """
    router.add_api_route(
        f"/api/subjects/{{slug}}/{table.name}",
        rows,
        methods=["GET"],
        name=f"api_{table.name}",
        summary=table.summary,
        response_class=StreamingResponse,
        responses={**PROBLEMS, 200: {"description": "JSON lines", "content": content}},
    )


for _table in TABLES:
    _register(_table)


def _lines(
    reading: Sessions, read: Callable[..., Any], subject_id: int, after: Address | None, limit: int
) -> Iterator[object]:
    """Chunk after chunk, each in a session of its own: none is held while the reader is slow."""
    left = limit
    while left > 0:
        size = min(left, CHUNK)
        with reading() as session:
            chunk = read(session, subject_id=subject_id, after=after, size=size)
        yield from chunk.rows
        if chunk.next is None:
            return
        after, left = chunk.next, left - size


def _address(text: str) -> Address | None:
    if not text:
        return None
    layer, slash, index = text.partition("/")
    digits = all(part.isascii() and part.isdigit() and len(part) <= 10 for part in (layer, index))
    if not slash or not digits or int(layer) > BIGGEST_LAYER or int(index) > BIGGEST_INDEX:
        raise Invalid("after is a neuron's address, LAYER/INDEX, like 0/16.")
    return int(layer), int(index)
