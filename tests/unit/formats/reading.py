"""Readers on contents in memory and files on disk: what they yield and what they refuse."""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.formats.files import File
from app.formats.problems import ReadingProblem
from app.formats.reader import Reader
from app.formats.records import NeuronRecord
from app.formats.sources.opening import local_source
from app.formats.streams import Entry, Stream
from tests.unit.formats.neurons import NOWHERE


@dataclass
class Reading:
    """What a reader made of some files."""

    records: list[NeuronRecord] = field(default_factory=list)
    problems: list[ReadingProblem] = field(default_factory=list)

    @property
    def reasons(self) -> list[str]:
        return [str(each) for each in self.problems]


def entry(name: str, content: bytes) -> Entry:
    """A file in memory."""

    @contextmanager
    def opened() -> Iterator[Stream]:
        yield io.BytesIO(content)

    return Entry(name, opened)


def read_files(reader: Reader, files: Iterable[File]) -> Reading:
    """Read contents in memory."""
    found = Reading()
    for file in files:
        found.records += reader.records(entry(file.name, file.content), found.problems.append)
    return found


def read_path(reader: Reader, path: Path) -> Reading:
    """Read a folder, file or archive."""
    found = Reading()
    for _, each in local_source(path).entries(found.problems.append):
        if reader.reads(each.name):
            found.records += reader.records(each, found.problems.append)
    return found


def joined(records: Sequence[NeuronRecord]) -> dict[tuple[int, int], NeuronRecord]:
    """The records of each neuron put together, without where they stood."""
    found: dict[tuple[int, int], NeuronRecord] = {}
    for record in records:
        key = (record.layer, record.index)
        known = found.get(key)
        if known is None:
            found[key] = replace(record, origin=NOWHERE)
            continue
        statistics = {**known.statistics.known, **record.statistics.known}
        found[key] = replace(
            known,
            model=known.model or record.model,
            source=known.source or record.source,
            statistics=type(known.statistics)(**statistics),
            samples=(*known.samples, *record.samples),
            explanations=[*known.explanations, *record.explanations],
            facts={**known.facts, **record.facts},
        )
    return found
