"""The subjects that a worker process has loaded: at most so many, and none is released that is used."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.errors import Conflict
from app.queries.subjects.lookup import StoredSubject
from worker.method.live import LiveSubject
from worker.subjects.corpus_excerpts import CorpusExcerpts

LOOK_SECONDS = 1.0
RUNS_SECONDS = 300.0
"""For so long after a run has used a subject, its next run may come: trials of texts do not release it."""


@dataclass
class _Loaded:
    """A loaded subject. ``n_users`` hold it now; a run has used it last at ``run_at``, a time of the clock."""

    subject: LiveSubject
    used_at: float
    n_users: int = 0
    run_at: float | None = None


class Subjects:
    """Loads subjects when they are first used, and releases the one that was used longest ago to make room.

    Any thread may use it. While one subject is being loaded the others cannot be taken: a processor or a GPU that loads
    two models takes longer for both.
    """

    def __init__(
        self, load: Callable[[str], LiveSubject], *, most: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``load`` is given a subject's slug; ``most`` subjects are loaded at a time."""
        self._load, self._most, self._clock = load, most, clock
        self._loaded: dict[str, _Loaded] = {}
        self._changed = threading.Condition()

    @contextmanager
    def for_run(self, slug: str, *, tick: Callable[[], None] = lambda: None) -> Iterator[LiveSubject]:
        """The subject, held while the block runs. Waits until there is room; ``tick`` is called meanwhile.

        Raises what ``load`` and ``tick`` raise.
        """
        with self._changed:
            while not self._has_room_for(slug, for_run=True):
                self._changed.wait(LOOK_SECONDS)
                tick()
            held = self._take(slug)
        with self._until_released(held, by_run=True):
            yield held.subject

    @contextmanager
    def for_trial(self, slug: str) -> Iterator[LiveSubject]:
        """The subject, held while the block runs. Raises what ``load`` raises.

        Raises Conflict where room could only be made by releasing a subject that runs use.
        """
        with self._changed:
            if not self._has_room_for(slug, for_run=False):
                names = ", ".join(sorted(self._loaded))
                raise Conflict(
                    f"This worker has no room for another subject: runs use {names}. Try the text again when their"
                    " batches have ended, or let workers load more with NEURON_AUDIT_LOADED_SUBJECTS."
                )
            held = self._take(slug)
        with self._until_released(held):
            yield held.subject

    @property
    def loaded(self) -> tuple[LiveSubject, ...]:
        """Those that are loaded now. Takes no lock: it is called while a model is being loaded."""
        return tuple(held.subject for held in tuple(self._loaded.values()))

    def _has_room_for(self, slug: str, *, for_run: bool) -> bool:
        """Whether the subject is loaded or can be, after others have been released."""
        while slug not in self._loaded and len(self._loaded) >= self._most:
            free = [name for name, held in self._loaded.items() if self._may_go(held, for_run=for_run)]
            if not free:
                return False
            del self._loaded[min(free, key=lambda name: self._loaded[name].used_at)]
        return True

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


def load_live(stored: StoredSubject, *, device: str, corpus: CorpusExcerpts | None = None) -> LiveSubject:
    """The subject, ready to run texts and excerpts of its corpus.

    Raises CheckpointError, SubjectError, also where it has changed since.
    """
    from worker.collection.stored_subject import load_stored  # torch is not needed for other methods
    from worker.subjects.live import LiveModel

    loaded = load_stored(stored, device=device)
    return LiveModel(loaded, slug=stored.slug, context_length=stored.context_length, corpus=corpus)
