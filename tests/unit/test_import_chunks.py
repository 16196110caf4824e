"""What an import reads while it stores: chunks with their own problems and positions, one of them ahead."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from app.formats.problems import ReadingProblem, Refuse
from app.formats.records import NeuronRecord, Origin
from app.formats.sources.folder import Folder
from app.formats.streams import Entry
from app.transfer.chunks import CHUNK_RECORDS, Chunk, Reached, chunks_of, read_ahead

START = Reached(0, "")


class Lines:
    """Reads a neuron from every line of a file; a line that is no number is refused. ``began`` is set at line 2·N."""

    def __init__(self) -> None:
        self.began, self.closed = Event(), Event()

    def reads(self, name: str) -> bool:
        return name.endswith(".txt")

    def records(self, entry: Entry, refuse: Refuse, *, after: int = 0) -> Iterator[NeuronRecord]:
        assert entry.path is not None
        try:
            for number, line in enumerate(entry.path.read_text().split(), start=1):
                if number <= after:
                    continue
                if line == "broken":
                    raise OSError("the disk is gone")
                if not line.isdigit():
                    refuse(ReadingProblem(entry.name, "no number", number))
                    continue
                if int(line) >= CHUNK_RECORDS:
                    self.began.set()
                yield NeuronRecord(0, int(line), Origin(entry.name, number))
        finally:
            self.closed.set()


def folder_with(path: Path, *lines: str, more: tuple[str, ...] = ()) -> Folder:
    (path / "a.txt").write_text("\n".join(lines))
    (path / "b.txt").write_text("\n".join(more))
    (path / "notes.md").write_text("0\n1\n")
    return Folder(path)


def indices(chunk: Chunk) -> list[int]:
    return [record.index for record in chunk.records]


def test_a_chunk_has_its_own_problems_and_the_position_it_reaches(tmp_path: Path) -> None:
    numbers = [str(n) for n in range(CHUNK_RECORDS + 1)]
    source = folder_with(tmp_path, "first", *numbers, "last", more=("7",))
    first, second = read_ahead(chunks_of(source, Lines(), START))
    assert indices(first) == list(range(CHUNK_RECORDS))
    assert [problem.line for problem in first.problems] == [1]
    assert first.reached == Reached(0, "", CHUNK_RECORDS + 1)
    assert indices(second) == [CHUNK_RECORDS, 7]
    assert [problem.line for problem in second.problems] == [CHUNK_RECORDS + 3]
    assert second.reached == Reached(3, "notes.md")
    resumed = list(chunks_of(source, Lines(), first.reached))
    assert [(indices(c), c.problems, c.reached) for c in resumed] == [
        (indices(second), second.problems, second.reached)
    ]


def test_the_next_chunk_is_read_while_one_is_stored(tmp_path: Path) -> None:
    lines = Lines()
    source = folder_with(tmp_path, *(str(n) for n in range(2 * CHUNK_RECORDS)))
    with closing(read_ahead(chunks_of(source, lines, START))) as ahead:
        assert len(next(ahead).records) == CHUNK_RECORDS
        assert lines.began.wait(60)  # which nobody has asked for yet


def test_what_fails_while_reading_fails_once_what_was_read_before_is_stored(tmp_path: Path) -> None:
    source = folder_with(tmp_path, *(str(n) for n in range(CHUNK_RECORDS)), "broken")
    ahead = read_ahead(chunks_of(source, Lines(), START))
    assert len(next(ahead).records) == CHUNK_RECORDS
    with pytest.raises(OSError, match="the disk is gone"):
        next(ahead)


def test_a_source_is_closed_where_storing_ends_early(tmp_path: Path) -> None:
    lines = Lines()
    source = folder_with(tmp_path, *(str(n) for n in range(3 * CHUNK_RECORDS)))
    with closing(read_ahead(chunks_of(source, lines, START))) as ahead:
        next(ahead)  # and nothing after it, as where a transaction fails
    assert lines.closed.is_set()
