"""The handler of each kind of leased work. To add a kind, see ``app.work``."""

import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from app.domain.work import (
    CHECK,
    COLLECTION,
    CONTROLS,
    EMBEDDING,
    EXPORT,
    FIRING,
    IMPORT,
    INSPECTION,
    MODEL_REVIEW,
    PROBE,
    QUERY_EMBEDDING,
    RUN,
    TRIAL,
    WARM_UP,
)
from worker.run.held import Done, Handler, Handlers, HeldWork
from worker.run.services import WorkerServices

Maker: TypeAlias = Callable[[WorkerServices], Handler]


def _run(services: WorkerServices) -> Handler:
    from worker.run.methods import MethodBuilder
    from worker.run.runs import RunHandler

    return RunHandler(services.sessions, MethodBuilder(services))


def _trial(services: WorkerServices) -> Handler:
    from worker.run.trials import TrialHandler

    return TrialHandler(services.sessions, services.subjects)


def _firing(services: WorkerServices) -> Handler:
    from worker.run.trials import FiringHandler

    return FiringHandler(services.sessions, services.subjects)


def _warm_up(services: WorkerServices) -> Handler:
    from worker.run.trials import WarmUpHandler

    return WarmUpHandler(services.subjects)


def _inspection(services: WorkerServices) -> Handler:
    from worker.run.inspections import InspectionHandler

    return InspectionHandler(services.settings)


def _collection(services: WorkerServices) -> Handler:
    from worker.run.collections import CollectionHandler

    return CollectionHandler(services)


def _check(services: WorkerServices) -> Handler:
    from worker.run.checks import CheckHandler

    return CheckHandler(services)


def _controls(services: WorkerServices) -> Handler:
    from worker.run.controls import ControlsHandler

    return ControlsHandler(services.sessions)


def _model_review(services: WorkerServices) -> Handler:
    from worker.run.model_reviews import ModelReviewHandler

    return ModelReviewHandler(services.sessions, services.providers)


def _probe(services: WorkerServices) -> Handler:
    from worker.run.probes import ProbeHandler

    return ProbeHandler(services.sessions, services.settings)


def _import(services: WorkerServices) -> Handler:
    from worker.run.transfers import ImportHandler

    return ImportHandler(services.sessions)


def _export(services: WorkerServices) -> Handler:
    from worker.run.transfers import ExportHandler

    return ExportHandler(services.sessions, services.settings)


def _embedding(services: WorkerServices) -> Handler:
    from worker.run.embeddings import EmbeddingHandler

    return EmbeddingHandler(services.sessions, services.embedders)


def _query_embedding(services: WorkerServices) -> Handler:
    from worker.run.embeddings import QueryEmbeddingHandler

    return QueryEmbeddingHandler(services.sessions, services.embedders)


MAKERS: Mapping[str, Maker] = {
    RUN: _run,
    TRIAL.name: _trial,
    FIRING.name: _firing,
    WARM_UP.name: _warm_up,
    CHECK.name: _check,
    INSPECTION.name: _inspection,
    COLLECTION.name: _collection,
    CONTROLS.name: _controls,
    MODEL_REVIEW.name: _model_review,
    PROBE.name: _probe,
    IMPORT.name: _import,
    EXPORT.name: _export,
    EMBEDDING.name: _embedding,
    QUERY_EMBEDDING.name: _query_embedding,
}
"""Functions that make the handler of a kind. They run for the kind's first work, since their imports are slow."""


class _MadeWhenNeeded:
    """A handler that is made at its first call. Any thread may call it."""

    def __init__(self, make: Maker, services: WorkerServices) -> None:
        self._make, self._services = make, services
        self._lock = threading.Lock()
        self._handler: Handler | None = None

    def __call__(self, held: HeldWork[Any]) -> Done:
        with self._lock:
            if self._handler is None:
                self._handler = self._make(self._services)
        return self._handler(held)


def make_handlers(services: WorkerServices) -> Handlers:
    """The handlers of one worker process."""
    return {kind: _MadeWhenNeeded(make, services) for kind, make in MAKERS.items()}
