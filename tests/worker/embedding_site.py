"""Explanations, an embedding model of the settings, and a worker's loop that embeds them."""

import uuid
from pathlib import Path
from threading import Event as Signal

from sqlalchemy import select

from app.db import Sessions, transaction
from app.domain.language_models import ProviderKind
from app.domain.work import EMBEDDING, QUERY_EMBEDDING, Lane
from app.models import Account, Provider, Subject, Task
from app.models.embeddings import EXPLANATION_EMBEDDINGS
from app.queries.embeddings.source import embedding_source
from app.queries.language_models.providers import ProviderSettings, add_provider
from app.settings import Settings
from app.work.embeddings import enqueue_embedding, enqueue_query
from tests.factories import Make
from worker.run.embedders import Embedders
from worker.run.embeddings import EmbeddingHandler, QueryEmbeddingHandler
from worker.run.held import Handlers
from worker.run.loop import WorkerContext, WorkLoop
from worker.run.opening import Providers

Row = tuple[int, int]
"""Ids of a model and of an explanation."""


class EmbeddingSite:
    """A database of the test's own, whose subject ``tiny`` has an explanation for each text, queued for by alice."""

    def __init__(self, sessions: Sessions, folder: Path, *texts: str) -> None:
        self.sessions, self.folder = sessions, folder
        self.settings = Settings(data_dir=folder)
        with transaction(sessions) as session:
            make = Make(session)
            subject = make.subject("tiny", neurons_per_layer=max(4, len(texts)))
            neurons = [make.neuron(subject, index=index) for index in range(len(texts))]
            pairs = zip(neurons, texts, strict=True)
            self.explanations = [make.explained(neuron, text) for neuron, text in pairs]
            self.alice_id = make.account("alice").id

    def use_endpoint(self, url: str, *, model: str = "", price_in: float = 0.0, name: str = "house") -> None:
        """Let an endpoint embed."""
        house = ProviderSettings(
            ProviderKind.OPENAI_COMPATIBLE, "letters", url, allowed_networks=("127.0.0.0/8",), price_in=price_in
        )
        with transaction(self.sessions) as session:
            if session.scalar(select(Provider.id).where(Provider.name == name)) is None:
                add_provider(session, name=name, settings=house)
        self.settings = Settings(data_dir=self.folder, embedding_provider=name, embedding_model=model)

    def use_folder(self, folder: Path) -> None:
        """Let a model in a folder embed."""
        self.settings = Settings(data_dir=self.folder, embedding_model=str(folder))

    def queue(self, *, price_cap: float | None = None) -> int:
        source = embedding_source(self.settings)
        assert source is not None
        with transaction(self.sessions) as session:
            return enqueue_embedding(
                session, slug="tiny", source=source, account_id=self.alice_id, price_cap=price_cap
            ).id

    def search(self, text: str) -> int:
        source = embedding_source(self.settings)
        assert source is not None
        with transaction(self.sessions) as session:
            return enqueue_query(session, source=source, text=text, account_id=self.alice_id).id

    def work(self, lane: Lane = Lane.BACKGROUND, *, texts_at_once: int = 64) -> Task:
        """The newest task, after a new worker has taken one."""
        providers = Providers(self.sessions, self.settings)
        embedders = Embedders(self.sessions, self.settings, providers)
        handlers: Handlers = {
            EMBEDDING.name: EmbeddingHandler(self.sessions, embedders, texts_at_once=texts_at_once),
            QUERY_EMBEDDING.name: QueryEmbeddingHandler(self.sessions, embedders),
        }
        settings = self.settings.model_copy(update={"progress_seconds": 0, "retry_seconds": 0})
        context = WorkerContext(settings, self.sessions, handlers, uuid.uuid4(), Signal(), Signal())
        try:
            assert WorkLoop(context, lane).run_one()
        finally:
            providers.close()
        with transaction(self.sessions) as session:
            return session.scalars(select(Task).order_by(Task.id.desc()).limit(1)).one()

    def stored(self) -> dict[Row, list[float]]:
        """Every embedding of an explanation."""
        columns = EXPLANATION_EMBEDDINGS.c
        with transaction(self.sessions) as session:
            rows = session.execute(select(columns.model_id, columns.explanation_id, columns.embedding))
            return {(row.model_id, row.explanation_id): row.embedding for row in rows}

    def write(self, text: str) -> int:
        """One more explanation, of a neuron of its own."""
        with transaction(self.sessions) as session:
            make = Make(session)
            alice = session.get_one(Account, self.alice_id)
            subject_id = session.scalars(select(Task.subject_id).order_by(Task.id)).first()
            subject = session.get_one(Subject, subject_id)
            neuron = make.neuron(subject, layer=1, index=len(self.explanations))
            written = make.explanation(neuron, text, author=alice.name, account_id=alice.id)
            self.explanations.append(written.id)
            return written.id
