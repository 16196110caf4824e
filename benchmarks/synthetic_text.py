"""English and Python text of the interpreter's own library, cut into tokens and excerpts by a pattern."""

import re
import sysconfig
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from app.domain.arrays import Int32s, Int64s

VOCABULARY_SIZE = 8_000
CONTEXT_LENGTH = 64
_PIECE = re.compile(r" ?[A-Za-z]{1,12}|\d{1,3}|\n+|[ \t]+|[^\sA-Za-z\d]")


@dataclass(frozen=True, slots=True)
class Text:
    """A vocabulary, and excerpts of ``CONTEXT_LENGTH`` token ids with the document each is from."""

    tokens: tuple[bytes, ...]
    excerpts: Int32s
    """Number of excerpts by ``CONTEXT_LENGTH``."""
    documents: tuple[str, ...]
    document_of: Int64s
    position_of: Int64s


def library_text(n_excerpts: int) -> Text:
    """As many excerpts of the standard library's sources as are asked for, or all there are."""
    folder = Path(sysconfig.get_path("stdlib"))
    documents: list[tuple[str, list[str]]] = []
    found = 0
    for path in sorted(folder.glob("*.py")):
        pieces = _PIECE.findall(path.read_text(encoding="utf-8", errors="replace"))
        documents.append((path.name, pieces))
        found += len(pieces) // CONTEXT_LENGTH
        if found >= n_excerpts:
            break
    counts = Counter(piece for _, pieces in documents for piece in pieces)
    vocabulary = [piece for piece, _ in counts.most_common(VOCABULARY_SIZE - 1)]
    ids = {piece: i for i, piece in enumerate(vocabulary)}
    return _cut(documents, ids, n_excerpts)


def _cut(documents: list[tuple[str, list[str]]], ids: dict[str, int], n_excerpts: int) -> Text:
    unknown = len(ids)
    windows: list[list[int]] = []
    document_of: list[int] = []
    position_of: list[int] = []
    for number, (_, pieces) in enumerate(documents):
        known = [ids.get(piece, unknown) for piece in pieces]
        starts = range(0, len(known) - CONTEXT_LENGTH + 1, CONTEXT_LENGTH)
        for start in islice(starts, n_excerpts - len(windows)):
            windows.append(known[start : start + CONTEXT_LENGTH])
            document_of.append(number)
            position_of.append(start)
    return Text(
        tokens=(*(piece.encode() for piece in ids), b" etc"),
        excerpts=np.array(windows, dtype=np.int32),
        documents=tuple(name for name, _ in documents),
        document_of=np.array(document_of),
        position_of=np.array(position_of),
    )
