"""The handlers of embeddings: those of a subject's explanations, and that of a searched text."""

import time
from collections.abc import Sequence
from functools import partial

from app.db import Sessions, transaction
from app.domain.arrays import Float32s
from app.domain.embeddings import EmbeddingSource, text_digest
from app.queries.embeddings.store import (
    EmbeddedText,
    MissingText,
    choose_model,
    copy_known,
    count_missing,
    missing_texts,
    model_of,
    newest_explanation_id,
    store_embeddings,
    store_query,
)
from app.queries.embeddings.tables import make_embedding_table
from app.work.lease import TaskLease
from worker.run.embedders import Embedder, Embedders, EmbeddingTask
from worker.run.held import Done, HeldWork

TEXTS_AT_ONCE = 64


class EmbeddingHandler:
    """Embeds every explanation of a subject that has no embedding by the model of the settings."""

    def __init__(self, sessions: Sessions, embedders: Embedders, *, texts_at_once: int = TEXTS_AT_ONCE) -> None:
        self._sessions, self._embedders, self._size = sessions, embedders, texts_at_once

    def __call__(self, held: HeldWork[TaskLease]) -> Done:
        """Return the numbers of explanations embedded and copied from equal texts.

        Each batch is stored at once, so that paid embeddings survive an interruption and the next execution continues
        with the rest. Raises the errors of ``Embedders.open`` and ``Embedder.embed``, Unavailable if the database has
        no pgvector, Conflict if the number of dimensions has changed.
        """
        parameters = held.lease.parameters
        held.doing = f"embeddings of {parameters['slug']}"
        held.report("opening the model", 0.0)
        held.through_outages(partial(_make_table, self._sessions))
        source, embedder = self._embedders.open(parameters["source"])
        sweep = _Sweep(self._sessions, held, source, embedder)
        n_missing = held.through_outages(sweep.start)
        after = n_embedded = n_copied = 0
        while texts := held.through_outages(partial(sweep.texts, after, self._size)):
            copied = held.through_outages(partial(sweep.copy, texts))
            left = [text for text in texts if text.explanation_id not in copied]
            n_new = sweep.embed(left) if left else 0
            after = texts[-1].explanation_id
            n_embedded, n_copied = n_embedded + n_new, n_copied + len(texts) - n_new
            held.report("embedding", min(1.0, (n_embedded + n_copied) / max(1, n_missing)))
        return Done(
            result={
                "model": source.label,
                "n_embedded": n_embedded,
                "n_copied_from_equal_texts": n_copied,
                "newest_explanation": sweep.newest,
            }
        )


class _Sweep:
    """One pass over a subject's explanations. Each method except ``embed`` is one transaction that may be repeated."""

    def __init__(
        self, sessions: Sessions, held: HeldWork[TaskLease], source: EmbeddingSource, embedder: Embedder
    ) -> None:
        self._sessions, self._held, self._source, self._embedder = sessions, held, source, embedder
        self._subject_id: int = held.lease.parameters["subject_id"]
        self._model_id: int | None = None
        self._dimensions: int | None = None
        self.newest = 0
        """The highest id of an explanation when the pass began."""

    def start(self) -> int:
        """Begin, and return the number of explanations without an embedding."""
        with transaction(self._sessions) as session:
            model = model_of(session, source=self._source, digest=self._embedder.digest)
            if model is not None:
                self._model_id, self._dimensions = model.id, model.dimensions
                choose_model(session, source=self._source, digest=self._embedder.digest, dimensions=model.dimensions)
            self.newest = newest_explanation_id(session)
            return count_missing(session, subject_id=self._subject_id, model_id=self._model_id)

    def texts(self, after: int, size: int) -> list[MissingText]:
        with transaction(self._sessions) as session:
            return missing_texts(session, subject_id=self._subject_id, model_id=self._model_id, after=after, size=size)

    def copy(self, texts: Sequence[MissingText]) -> set[int]:
        """Copy known embeddings of equal texts; returns the ids of the explanations that got one."""
        if self._model_id is None:
            return set()
        with transaction(self._sessions) as session:
            known = [(text, text_digest(text.text)) for text in texts]
            return copy_known(session, model_id=self._model_id, subject_id=self._subject_id, texts=known)

    def embed(self, texts: Sequence[MissingText]) -> int:
        """Embed and store; returns the number of different texts that were embedded."""
        by_digest: dict[bytes, list[MissingText]] = {}
        for text in texts:
            by_digest.setdefault(text_digest(text.text), []).append(text)
        task = EmbeddingTask(self._held.lease.id, self._held.live)
        different = [same[0].text for same in by_digest.values()]
        found = self._embedder.embed(different, dimensions=self._dimensions, task=task)
        rows = [
            EmbeddedText(text.explanation_id, text.neuron_id, digest, embedding)
            for (digest, same), embedding in zip(by_digest.items(), found, strict=True)
            for text in same
        ]
        self._held.through_outages(partial(self._store, rows, found.shape[1]))
        return len(different)

    def _store(self, rows: Sequence[EmbeddedText], dimensions: int) -> None:
        with transaction(self._sessions) as session:
            if self._model_id is None:
                model = choose_model(session, source=self._source, digest=self._embedder.digest, dimensions=dimensions)
                model_id = model.id
            else:
                model_id = self._model_id
            store_embeddings(session, model_id=model_id, subject_id=self._subject_id, rows=rows)
        self._model_id, self._dimensions = model_id, dimensions


class QueryEmbeddingHandler:
    """Embeds a searched text."""

    def __init__(self, sessions: Sessions, embedders: Embedders) -> None:
        self._sessions, self._embedders = sessions, embedders

    def __call__(self, held: HeldWork[TaskLease]) -> Done:
        """Return the seconds that it took. Raises the same as ``EmbeddingHandler``."""
        start = time.monotonic()
        text = held.lease.parameters["text"]
        held.doing = "a search by meaning"
        held.through_outages(partial(_make_table, self._sessions))
        source, embedder = self._embedders.open(held.lease.parameters["source"])
        dimensions = held.through_outages(partial(self._dimensions, source, embedder.digest))
        task = EmbeddingTask(held.lease.id, held.live)
        (embedding,) = embedder.embed([text], dimensions=dimensions, task=task)
        held.through_outages(partial(self._store, source, embedder.digest, text, embedding))
        return Done(result={"seconds": time.monotonic() - start})

    def _dimensions(self, source: EmbeddingSource, digest: str) -> int | None:
        with transaction(self._sessions) as session:
            model = model_of(session, source=source, digest=digest)
            return None if model is None else model.dimensions

    def _store(self, source: EmbeddingSource, digest: str, text: str, embedding: Float32s) -> None:
        with transaction(self._sessions) as session:
            model = choose_model(session, source=source, digest=digest, dimensions=len(embedding))
            store_query(session, model_id=model.id, digest=text_digest(text), embedding=embedding)


def _make_table(sessions: Sessions) -> None:
    with transaction(sessions) as session:
        make_embedding_table(session)
