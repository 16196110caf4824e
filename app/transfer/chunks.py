"""The records of a source in chunks, each stored in one transaction; the next chunk is read while one is stored."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace

from app.formats.problems import ReadingProblem
from app.formats.reader import Reader
from app.formats.records import NeuronRecord
from app.formats.sources.source import Position, Source

CHUNK_RECORDS = 200
"""The most records that one transaction stores."""
CHUNK_TOKENS = 1_000_000
"""The number of tokens at which a chunk ends before it has ``CHUNK_RECORDS`` records."""


@dataclass(frozen=True, slots=True)
class Reached:
    """A position in a source: the last entry that is read to its end, and the line reached in the one after it.

    ``ordinal`` 0 is before the first entry; ``line`` 0 is before the first line.
    """

    ordinal: int
    entry: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records, the problems met while reading them, and the position in the source that they reach."""

    records: list[NeuronRecord]
    problems: list[ReadingProblem]
    reached: Reached
    progress: float


def chunks_of(source: Source, reader: Reader, start: Reached) -> Generator[Chunk, None, None]:
    """The chunks of a source from a position on. The last one reaches the end of the source and may be empty.

    Records of the file at that position may be read twice. Raises what the source raises.
    """
    records, problems, n_tokens = list[NeuronRecord](), list[ReadingProblem](), 0

    def refuse(problem: ReadingProblem) -> None:
        problems.append(problem)  # to the list of the chunk that is being read

    at, line = start, start.line
    for position, entry in source.entries(refuse, after=Position(at.ordinal, at.entry) if at.ordinal else None):
        for record in reader.records(entry, refuse, after=line) if reader.reads(entry.name) else ():
            records.append(record)
            n_tokens += _n_tokens(record)
            if len(records) >= CHUNK_RECORDS or n_tokens >= CHUNK_TOKENS:
                # The file may have more: its line is reached, where it has lines, else the file before it.
                yield Chunk(records, problems, replace(at, line=record.origin.line or 0), source.progress)
                records, problems, n_tokens = [], [], 0
        at, line = Reached(position.ordinal, position.name), 0
    yield Chunk(records, problems, at, source.progress)


def read_ahead(chunks: Generator[Chunk, None, None]) -> Generator[Chunk, None, None]:
    """The same chunks, read by a thread one ahead: storing a chunk takes as long as reading one."""
    with closing(chunks), ThreadPoolExecutor(1, thread_name_prefix="reading") as thread:
        waiting = thread.submit(next, chunks, None)
        while (chunk := waiting.result()) is not None:
            waiting = thread.submit(next, chunks, None)
            yield chunk


def _n_tokens(record: NeuronRecord) -> int:
    of_samples = sum(len(row.tokens) for sample in record.samples for row in sample.records)
    return of_samples + sum(len(s.activations) for e in record.explanations for s in e.simulations)
