"""The documents of a corpus that were left out, in a few lines: rows of one file are counted together."""

import re
from collections import Counter
from collections.abc import Iterator

MOST_NAMED = 20
_ROW = re.compile(r"(.+):(\d+)")


class LeftOut:
    """Counts the documents that could not be read. Memory does not grow with the corpus."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, bool], tuple[str, str]] = {}
        self._counts: Counter[tuple[str, bool]] = Counter()
        self._n_others = 0

    def add(self, name: str, reason: str) -> None:
        """Count a document, or a row ``file:number``, with the reason."""
        row = _ROW.fullmatch(name)
        key = (row[1] if row else name, row is not None)
        if key not in self._first and len(self._first) == MOST_NAMED:
            self._n_others += 1
            return
        self._first.setdefault(key, (name, reason))
        self._counts[key] += 1

    def notes(self) -> Iterator[str]:
        """A line for each file or document, and one line for the rest."""
        for key, (name, reason) in self._first.items():
            n_more = self._counts[key] - 1
            rows = f"left out {n_more + 1} rows of {key[0]}, the first is row {name.rpartition(':')[2]}"
            yield storable(f"{rows if n_more else f'left out {name}'}: {reason}")
        if self._n_others:
            yield f"left out {self._n_others} more documents that could not be read"


def storable(text: str) -> str:
    """The text with NUL and undecodable bytes of file names replaced, which the database cannot store."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()
