"""The subjects that a worker process has loaded, within a budget in bytes. A subject in use is never released."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from app.errors import Conflict
from app.queries.subjects.lookup import StoredSubject
from worker.method.live import LiveSubject
from worker.subjects.corpus_excerpts import CorpusExcerpts

LOOK_SECONDS = 1.0
RUNS_SECONDS = 300.0
"""Seconds after a run's use of a subject within which its next run may come; trials do not release it then."""


class SizedSubject(LiveSubject, Protocol):
    """A live subject whose size is known."""

    @property
    def n_bytes(self) -> int:
        """Bytes of its model's parameters and buffers."""
        ...


@dataclass
class _Loaded:
    """A loaded subject. ``n_users`` use it now; ``run_at`` is the clock's time of the last use by a run."""

    subject: SizedSubject
    used_at: float
    n_users: int = 0
    run_at: float | None = None


class Subjects:
    """Loads subjects when they are first used, and releases those that were used longest ago to make room.

    There is room for a subject if it fits into the budget together with the other loaded ones, or if it is the only
    one: the budget limits what stays loaded, not which models can be used. Room is made before a subject is loaded.

    Any thread may use it. While one subject is being loaded no other can be taken, since loading two at once would take
    longer for both.
    """

    def __init__(
        self,
        load: Callable[[str], SizedSubject],
        *,
        measure: Callable[[str], int],
        budget: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``load`` returns the subject of a slug, ``measure`` its size in bytes before it is loaded.

        ``budget`` returns the bytes that all loaded subjects may take together.
        """
        self._load, self._measure, self._budget, self._clock = load, measure, budget, clock
        self._loaded: dict[str, _Loaded] = {}
        self._changed = threading.Condition()

    @contextmanager
    def for_run(self, slug: str, *, tick: Callable[[], None] = lambda: None) -> Iterator[LiveSubject]:
        """The subject, kept loaded while the block runs. Waits until there is room, calling ``tick`` meanwhile.

        Raises the errors of ``load``, ``measure`` and ``tick``.
        """
        with self._changed:
            n_bytes = self._bytes_to_load(slug)
            while not self._has_room_for(slug, n_bytes, for_run=True):
                self._changed.wait(LOOK_SECONDS)
                tick()
            held = self._take(slug)
        with self._until_released(held, by_run=True):
            yield held.subject

    @contextmanager
    def for_trial(self, slug: str) -> Iterator[LiveSubject]:
        """The subject, kept loaded while the block runs. Raises the errors of ``load`` and ``measure``.

        Raises Conflict if room could only be made by releasing a subject that runs use.
        """
        with self._changed:
            n_bytes = self._bytes_to_load(slug)
            if not self._has_room_for(slug, n_bytes, for_run=False):
                raise Conflict(self._why_no_room(slug, n_bytes))
            held = self._take(slug)
        with self._until_released(held):
            yield held.subject

    @property
    def loaded(self) -> tuple[LiveSubject, ...]:
        """The subjects that are loaded now. Takes no lock: it is called while a model is being loaded."""
        return tuple(held.subject for held in tuple(self._loaded.values()))

    def _bytes_to_load(self, slug: str) -> int:
        return 0 if slug in self._loaded else self._measure(slug)

    def _has_room_for(self, slug: str, n_bytes: int, *, for_run: bool) -> bool:
        """Whether the subject is loaded or can be after releasing others, the least recently used first.

        Nothing is released if that would not make enough room.
        """
        if slug in self._loaded:
            return True
        by_age = sorted(self._loaded.items(), key=lambda item: item[1].used_at)
        free = [name for name, held in by_age if self._may_go(held, for_run=for_run)]
        kept, released = dict(self._loaded), list[str]()
        while kept and n_bytes + _total(kept) > self._budget():
            if not free:
                return False
            released.append(free.pop(0))
            del kept[released[-1]]
        for name in released:
            del self._loaded[name]
        return True

    def _why_no_room(self, slug: str, n_bytes: int) -> str:
        names = ", ".join(sorted(name for name, held in self._loaded.items() if not self._may_go(held, for_run=False)))
        return (
            f"This worker has no room for {slug} ({n_bytes / 1e6:,.0f} MB): runs use {names}, and loaded subjects may"
            f" take {self._budget() / 1e6:,.0f} MB together. Try the text again when their batches have ended, or raise"
            " NEURON_AUDIT_SUBJECT_MEGABYTES."
        )

    def _may_go(self, held: _Loaded, *, for_run: bool) -> bool:
        is_of_runs = held.run_at is not None and self._clock() - held.run_at < RUNS_SECONDS
        return held.n_users == 0 and (for_run or not is_of_runs)

    def _take(self, slug: str) -> _Loaded:
        if slug not in self._loaded:
            self._loaded[slug] = _Loaded(self._load(slug), self._clock())
        held = self._loaded[slug]
        held.n_users += 1
        return held

    @contextmanager
    def _until_released(self, held: _Loaded, *, by_run: bool = False) -> Iterator[None]:
        try:
            yield
        finally:
            with self._changed:
                held.n_users -= 1
                held.used_at = self._clock()
                if by_run:
                    held.run_at = held.used_at
                self._changed.notify_all()


def _total(loaded: Mapping[str, _Loaded]) -> int:
    return sum(held.subject.n_bytes for held in loaded.values())


def load_live(stored: StoredSubject, *, device: str, corpus: CorpusExcerpts | None = None) -> SizedSubject:
    """The subject, ready to run texts and excerpts of its corpus.

    Raises CheckpointError and SubjectError, also if the model has changed since its collection.
    """
    from worker.collection.stored_subject import load_stored  # imported late: other methods do not need torch
    from worker.subjects.live import LiveModel

    loaded = load_stored(stored, device=device)
    return LiveModel(loaded, slug=stored.slug, context_length=stored.context_length, corpus=corpus)
