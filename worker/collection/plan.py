"""Cut a corpus into excerpts, once, on disk; every process of a collection reads the same cut.

The folder of a collection has ``excerpts.bin`` (int32, one row of ``context_length`` token ids per
excerpt), ``places.bin`` (int64 pairs: document, position in tokens), ``documents.jsonl`` and, written
last, ``plan.json``. Memory does not grow with the corpus.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, TextIO, TypeAlias

import numpy as np

from app.domain.arrays import Int32s, Int64s
from app.errors import CollectionError, CorpusError
from worker.collection.copies import leave_out_copies
from worker.collection.left_out import LeftOut
from worker.corpora.documents import CorpusSource, Document

IntRows: TypeAlias = Int32s
DOCUMENTS_AT_ONCE, CHARACTERS_AT_ONCE = 64, 1 << 21
"""Maximum number of texts and characters tokenized together; a tokenizer needs a hundred bytes per token."""


class Encode(Protocol):
    """Function from texts to token ids, without special tokens."""

    def __call__(self, texts: list[str]) -> Sequence[Sequence[int] | IntRows]: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """The excerpts of a collection. ``shards`` are ranges of excerpts; a pass resumes at the start of a shard."""

    context_length: int
    n_excerpts: int
    shard_excerpts: int
    corpus_digest: str
    notes: tuple[str, ...]
    n_copies: int = 0
    """Excerpts that are exact copies of earlier ones and were left out."""

    @property
    def tokens(self) -> int:
        """Number of tokens that enter the statistics."""
        return self.n_excerpts * self.context_length

    @property
    def n_shards(self) -> int:
        """The number of shards; the last may be smaller."""
        return -(-self.n_excerpts // self.shard_excerpts)

    def shard(self, number: int) -> range:
        """The excerpts of a shard, by ordinal."""
        first = number * self.shard_excerpts
        return range(first, min(first + self.shard_excerpts, self.n_excerpts))


@dataclass(frozen=True, slots=True)
class Cut:
    """How a corpus is cut. ``max_tokens`` ends it after this number of tokens in excerpts."""

    context_length: int
    max_tokens: int | None
    shard_excerpts: int


class Excerpts:
    """The excerpts on disk, by ordinal."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        shape = (plan.n_excerpts, plan.context_length)
        self._tokens = np.memmap(folder / "excerpts.bin", dtype=np.int32, mode="r", shape=shape)
        self._places = np.memmap(folder / "places.bin", dtype=np.int64, mode="r", shape=(plan.n_excerpts, 2))
        self._documents = folder / "documents.jsonl"

    @property
    def n_excerpts(self) -> int:
        """The number of excerpts."""
        return len(self._tokens)

    def tokens(self, ordinals: range | Int64s) -> IntRows:
        """Token ids [len(ordinals), context_length]."""
        index = slice(ordinals.start, ordinals.stop) if isinstance(ordinals, range) else ordinals
        return np.array(self._tokens[index])

    def positions(self, ordinals: Int64s) -> Int64s:
        """(document ordinal, position in tokens) of each excerpt, [len(ordinals), 2]."""
        return np.array(self._places[ordinals])

    def documents(self, wanted: set[int]) -> Iterator[tuple[int, str, int | None]]:
        """(ordinal, name, byte offset) of these documents."""
        with self._documents.open(encoding="utf-8") as lines:
            for ordinal, line in enumerate(lines):
                if ordinal in wanted:
                    name, offset = json.loads(line)
                    yield ordinal, name, offset


def prepare(
    folder: Path, corpus: CorpusSource, encode: Encode, cut: Cut, tell: Callable[[int], None] = lambda tokens: None
) -> Plan:
    """Cut the corpus into distinct excerpts in ``folder``, or return the plan that is already there.

    ``tell`` receives the number of tokens cut so far. The rest of a document after its last whole excerpt is dropped,
    and so are exact copies of earlier excerpts; both are counted in the notes. Raises CorpusError for a corpus without
    one excerpt, CollectionError for a full disk.
    """
    done = folder / "plan.json"
    if done.exists():
        return read_plan(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with clear_write_errors(folder):
        cutter = _cut(folder, corpus, encode, cut, tell)
    if cutter.n_excerpts == 0:
        why = "".join(f"; {note}" for note in cutter.left_out.notes())
        raise CorpusError(
            f"The corpus {corpus.name!r} holds no text of {cut.context_length} tokens. "
            f"Documents: {cutter.n_documents}; tokens: {cutter.dropped}{why}."
        )
    with clear_write_errors(folder):
        n = leave_out_copies(folder, n_excerpts=cutter.n_excerpts, context_length=cut.context_length)
    copies = cutter.n_excerpts - n
    notes = (*cutter.notes(), *_note_of_copies(copies, cutter.n_excerpts))
    plan = Plan(cut.context_length, n, cut.shard_excerpts, cutter.digest(), notes, copies)
    write_durably(done, json.dumps(asdict(plan)).encode())
    return plan


def _note_of_copies(copies: int, of: int) -> Iterator[str]:
    if copies:
        yield (
            f"{copies} of {of} excerpts ({copies / of:.1%}) were left out, because they are exact copies of earlier "
            "ones: every text counts once"
        )


def _cut(folder: Path, corpus: CorpusSource, encode: Encode, cut: Cut, tell: Callable[[int], None]) -> "_Cutter":
    with (
        (folder / "excerpts.bin").open("wb") as tokens,
        (folder / "places.bin").open("wb") as places,
        (folder / "documents.jsonl").open("w", encoding="utf-8") as documents,
    ):
        cutter = _Cutter(cut, tokens, places, documents)
        for batch in _batches(corpus.read(cutter.left_out.add)):
            cutter.add(batch, encode([d.text for d in batch]))
            tell(cutter.n_excerpts * cut.context_length)
            if cutter.full:
                break
        for stream in (tokens, places, documents):
            stream.flush()
            os.fsync(stream.fileno())
    return cutter


def read_plan(folder: Path) -> Plan:
    """The plan written by ``prepare`` in ``folder``."""
    values = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    return Plan(**{**values, "notes": tuple(values["notes"])})


@contextmanager
def clear_write_errors(file: Path) -> Iterator[None]:
    """Convert errors of a full or unwritable disk to CollectionError with advice."""
    try:
        yield
    except OSError as error:
        raise CollectionError(
            f"{file} cannot be written: {error.strerror or error}. Make room and start the same command again: it goes "
            "on from the last state that was written."
        ) from error


def write_durably(file: Path, data: bytes) -> None:
    """Write a file so that after a crash it is either complete or absent. Raises CollectionError."""
    draft = file.with_name(f"{file.name}.draft")
    with clear_write_errors(file):
        with draft.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        publish_file(draft, file)


def publish_file(draft: Path, file: Path) -> None:
    """Rename a fully written and synced file to its final name, durably."""
    draft.replace(file)
    descriptor = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Cutter:
    """Writes excerpts and counts the tokens left out."""

    def __init__(self, cut: Cut, tokens: BinaryIO, places: BinaryIO, documents: TextIO) -> None:
        self._cut = cut
        self._tokens, self._places, self._documents = tokens, places, documents
        self._digest = hashlib.sha256()
        self.left_out = LeftOut()
        self.n_documents = self.n_excerpts = self.dropped = 0
        self.was_limited = False
        self._most = None if cut.max_tokens is None else max(1, cut.max_tokens // cut.context_length)

    @property
    def full(self) -> bool:
        """Whether the requested number of tokens has been cut."""
        return self._most is not None and self.n_excerpts >= self._most

    def add(self, documents: list[Document], token_ids: Sequence[Sequence[int] | IntRows]) -> None:
        """Cut some documents; those after the last wanted token are ignored."""
        for document, ids in zip(documents, token_ids, strict=True):
            if self.full:
                return
            self._add(document, np.array(ids, dtype=np.int32))

    def _add(self, document: Document, ids: IntRows) -> None:
        length = self._cut.context_length
        n = len(ids) // length
        remainder = len(ids) - n * length
        if self._most is not None and n >= self._most - self.n_excerpts:
            # tokens after the last wanted excerpt were not requested, so they do not count as left out
            n, remainder, self.was_limited = self._most - self.n_excerpts, 0, True
        data = document.text.encode()
        self._digest.update(f"{document.name}\0{len(data)}\0".encode())
        self._digest.update(data)
        self._documents.write(json.dumps([document.name, document.byte_offset]) + "\n")
        self._tokens.write(ids[: n * length].tobytes())
        positions = np.arange(n, dtype=np.int64) * length
        self._places.write(np.stack([np.full(n, self.n_documents), positions], axis=1).tobytes())
        self.n_documents += 1
        self.n_excerpts += n
        self.dropped += remainder

    def digest(self) -> str:
        """SHA-256 over the names and texts of the documents that were cut."""
        return self._digest.hexdigest()

    def notes(self) -> Iterator[str]:
        """Notes for the reader of the collection."""
        yield from self.left_out.notes()
        if self.was_limited:
            yield f"the corpus was read up to {self.n_excerpts * self._cut.context_length} tokens, as asked for"
        if self.dropped:
            share = self.dropped / (self.dropped + self.n_excerpts * self._cut.context_length)
            yield (
                f"{self.dropped} tokens ({share:.1%}) at the ends of documents were left out, because they fill no "
                f"excerpt of {self._cut.context_length} tokens"
            )


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document.text)
        if len(batch) == DOCUMENTS_AT_ONCE or size >= CHARACTERS_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
