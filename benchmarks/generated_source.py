"""A generated data set as a source of an import: files are made when they are read, so that none takes up a disk.

All 307,200 neurons are 43 GB of JSON; the importer reads the same bytes as from a folder.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO

from app.formats.files import File
from app.formats.problems import Refuse
from app.formats.sources.source import Position
from app.formats.streams import Entry, Stream
from benchmarks.synthetic_files import data_set

FILES_PER_NEURON = 2


@dataclass(slots=True)
class GeneratedFiles:
    """The files of ``data_set``, in its order."""

    n_neurons: int
    seed: int = 0
    n_bytes: int = field(default=0, init=False)
    """Bytes of JSON that have been read."""
    _ordinal: int = field(default=0, init=False)

    @property
    def name(self) -> str:
        """Which data set it is."""
        return f"{self.n_neurons} generated neurons, seed {self.seed}"

    @property
    def progress(self) -> float:
        """Share of its files that have been read, 0..1."""
        return self._ordinal / (FILES_PER_NEURON * self.n_neurons)

    def entries(self, refuse: Refuse, *, after: Position | None = None) -> Iterator[tuple[Position, Entry]]:
        """See ``Source``. Files before the position are made again and skipped: the draws depend on each other."""
        self._ordinal = self.n_bytes = 0
        for file in data_set(self.n_neurons, seed=self.seed):
            self._ordinal += 1
            self.n_bytes += len(file.content)
            if after is None or self._ordinal > after.ordinal:
                yield Position(self._ordinal, file.name), Entry(file.name, partial(_opened, file))


def _opened(file: File) -> AbstractContextManager[Stream]:
    return nullcontext(BytesIO(file.content))
