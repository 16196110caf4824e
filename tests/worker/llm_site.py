"""A database with neurons, a language model named default, and a worker's loop, for whole runs."""

import uuid
from dataclasses import dataclass
from threading import Event as Signal
from typing import Any

import numpy as np
from sqlalchemy import func, select

from app.db import Sessions, transaction
from app.domain.activations import SampleKind
from app.domain.language_models import Capability
from app.domain.methods import LANGUAGE_MODEL_METHODS, MethodDefinition
from app.domain.work import Lane
from app.models import Base, Method, Provider, Run
from app.queries.methods.definitions import ensure_builtin_methods
from app.settings import Settings
from app.work.enqueue import enqueue_batch
from tests.factories import Make
from worker.run.handlers import make_handlers
from worker.run.loop import WorkerContext, WorkLoop
from worker.run.services import WorkerServices

IMPORT = 4  # the token " import" of the tests' vocabulary
SETTINGS = Settings(device="cpu", pause_seconds=0.05, longest_pause_seconds=0.05, progress_seconds=0)


@dataclass
class Site:
    """One subject whose neurons fire on the token " import"."""

    sessions: Sessions
    services: WorkerServices
    base_url: str

    def neurons(self, n: int, records: int = 20, always_at: int | None = None) -> tuple[int, list[int]]:
        """A subject and neurons with ``records`` excerpts of six tokens in each of the samples top and random.

        All texts of a neuron differ. Every excerpt of the top sample holds the token, or every excerpt at all, at the
        place ``always_at`` alone.
        """
        with transaction(self.sessions) as session:
            make = Make(session)
            subject = make.subject(neurons_per_layer=n)
            ids = []
            for index in range(n):
                neuron = make.neuron(subject, index=index, max=4.0)
                texts = _texts(records, always_at)
                for kind, shown in ((SampleKind.TOP, texts[:records]), (SampleKind.RANDOM, texts[records:])):
                    rows = [[4.0 if token == IMPORT else 0.0 for token in row] for row in shown]
                    make.sample(neuron, subject, kind, rows, shown)
                ids.append(neuron.id)
            return subject.id, ids

    def provider(self, **values: Any) -> None:
        defaults = {
            "kind": "openai_compatible",
            "model": "tiny",
            "base_url": self.base_url,
            "allowed_networks": ["127.0.0.0/8"],
            "capabilities": [c.value for c in Capability],
        }
        with transaction(self.sessions) as session:
            session.add(Provider(name="default", **{**defaults, **values}))

    def enqueue(self, subject_id: int, neuron_ids: list[int], method: MethodDefinition) -> None:
        with transaction(self.sessions) as session:
            ensure_builtin_methods(session, definitions=[method])
            method_id = session.scalars(select(Method.id).where(Method.name == method.name)).one()
            alice = Make(session).account()
            enqueue_batch(
                session, subject_id=subject_id, neuron_ids=neuron_ids, method_id=method_id, account_id=alice.id
            )

    def loop(self) -> WorkLoop:
        handlers = make_handlers(self.services)
        return WorkLoop(WorkerContext(SETTINGS, self.sessions, handlers, uuid.uuid4(), Signal(), Signal()), Lane.RUNS)

    def count(self, table: type[Base]) -> int:
        with transaction(self.sessions) as session:
            return session.scalars(select(func.count()).select_from(table)).one()

    def counts(self) -> dict[str, int]:
        with transaction(self.sessions) as session:
            rows = session.execute(select(Run.status, func.count()).group_by(Run.status))
            return {status: n for status, n in rows}  # noqa: C416 - rows are no pairs to mypy


def _texts(n: int, always_at: int | None) -> list[list[int]]:
    """Distinct texts, ``n`` with the token and ``n`` with random tokens."""
    generator = np.random.default_rng(0)
    others = [token for token in range(12) if token != IMPORT]
    found: dict[tuple[int, ...], None] = {}
    while len(found) < 2 * n:
        text = generator.choice(others, 6)
        if len(found) < n or always_at is not None:
            text[generator.integers(6) if always_at is None else always_at] = IMPORT
        found[tuple(text.tolist())] = None
    return [list(text) for text in found]


def method_named(name: str) -> MethodDefinition:
    """A built-in method that asks a language model."""
    return next(m for m in LANGUAGE_MODEL_METHODS if m.name == name)
