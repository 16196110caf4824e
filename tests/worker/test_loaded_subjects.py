"""What a worker keeps loaded: a budget in bytes, and subjects that are held."""

from collections.abc import Callable, Sequence
from threading import Event, Thread

import pytest

from app.domain.activations import ActivationRecord
from app.domain.arrays import Float32s, Int32s
from app.errors import Conflict
from worker.run.subjects import RUNS_SECONDS, Subjects

GUARD_SECONDS = 60.0


class Subject:
    """A subject that is asked nothing."""

    def __init__(self, slug: str, n_bytes: int = 1) -> None:
        self.slug = slug
        self.n_bytes = n_bytes

    def activations(self, texts: Sequence[str], *, layer: int, index: int) -> tuple[ActivationRecord, ...]:
        raise NotImplementedError

    def corpus_excerpts(self, n: int, *, seed: int) -> Sequence[Int32s]:
        raise NotImplementedError

    def excerpt_activations(self, excerpts: Sequence[Int32s], *, layer: int, index: int) -> tuple[Float32s, ...]:
        raise NotImplementedError

    def peaks(self, text: str) -> tuple[Int32s, tuple[tuple[Float32s, Int32s], ...]]:
        raise NotImplementedError

    def contexts(self, excerpts: Sequence[Int32s], positions: Sequence[int], *, layer: int) -> Float32s:
        raise NotImplementedError

    def log_probabilities(
        self, excerpt: Int32s, *, layer: int, index: int, activations: Float32s | None = None
    ) -> Float32s:
        raise NotImplementedError


class Memory:
    """The subjects of a worker, what was loaded in which order, and a clock that the test sets.

    A subject takes as many bytes as a number at the end of its name says, else one.
    """

    def __init__(self, budget: int) -> None:
        self.order: list[str] = []
        self.now = 0.0
        self.budget = budget
        self.subjects = self.kept_by(self.load)

    def kept_by(self, load: Callable[[str], Subject]) -> Subjects:
        return Subjects(load, measure=size_of, budget=lambda: self.budget, clock=lambda: self.now)

    def load(self, slug: str) -> Subject:
        self.order.append(slug)
        assert not self.names or self.taken + size_of(slug) <= self.budget  # room was made first
        return Subject(slug, size_of(slug))

    def run(self, slug: str) -> None:
        with self.subjects.for_run(slug):
            self.now += 1

    def try_on(self, slug: str) -> None:
        with self.subjects.for_trial(slug):
            self.now += 1

    @property
    def names(self) -> list[str]:
        return [subject.slug for subject in self.subjects.loaded]

    @property
    def taken(self) -> int:
        return sum(size_of(name) for name in self.names)


def size_of(slug: str) -> int:
    return int("".join(c for c in slug if c.isdecimal()) or 1)


def test_a_subject_is_loaded_once() -> None:
    memory = Memory(1)
    memory.run("a")
    memory.try_on("a")
    memory.run("a")
    assert memory.order == ["a"]


def test_the_one_that_was_used_longest_ago_makes_room() -> None:
    memory = Memory(2)
    for slug in ("a", "b", "a", "c"):
        memory.try_on(slug)
    assert memory.names == ["a", "c"]


@pytest.mark.parametrize("budget", [1, 2])
def test_a_trial_never_releases_what_runs_use(budget: int) -> None:
    memory = Memory(budget)
    memory.run("runs")
    with memory.subjects.for_run("runs"):
        for slug in ("a", "b", "c"):
            if budget == 1:
                with pytest.raises(Conflict, match=r"runs use .*runs"):
                    memory.try_on(slug)
            else:
                memory.try_on(slug)
    assert "runs" in memory.names


def test_between_two_runs_a_trial_does_not_release_their_subject() -> None:
    memory = Memory(1)
    memory.run("runs")
    with pytest.raises(Conflict):
        memory.try_on("other")
    memory.run("runs")
    assert memory.order == ["runs"]


def test_a_subject_of_runs_that_ended_long_ago_makes_room_for_a_trial() -> None:
    memory = Memory(1)
    memory.run("runs")
    memory.now += RUNS_SECONDS
    memory.try_on("other")
    assert memory.names == ["other"]


def test_a_long_run_counts_from_its_end() -> None:
    memory = Memory(1)
    with memory.subjects.for_run("runs"):
        memory.now += 10 * RUNS_SECONDS
    with pytest.raises(Conflict):
        memory.try_on("other")


def test_a_trial_in_hand_is_not_released_for_another() -> None:
    memory = Memory(1)
    with memory.subjects.for_trial("a"), pytest.raises(Conflict):
        memory.try_on("b")
    memory.try_on("b")


def test_a_run_takes_the_room_of_other_runs_between_them() -> None:
    memory = Memory(1)
    memory.run("a")
    memory.run("b")
    assert memory.names == ["b"]


def test_a_run_waits_for_room_and_shows_that_it_lives() -> None:
    memory = Memory(1)
    waits, done = Event(), Event()

    def run_other() -> None:
        with memory.subjects.for_run("other", tick=waits.set):
            done.set()

    thread = Thread(target=run_other, daemon=True)
    with memory.subjects.for_run("first"):
        thread.start()
        assert waits.wait(GUARD_SECONDS)
        assert not done.is_set()
    assert done.wait(GUARD_SECONDS)
    thread.join(GUARD_SECONDS)
    assert memory.order == ["first", "other"]


def test_a_run_that_is_cancelled_while_it_waits_takes_nothing() -> None:
    memory = Memory(1)

    def cancelled() -> None:
        raise InterruptedError

    with memory.subjects.for_run("first"):
        with pytest.raises(InterruptedError), memory.subjects.for_run("other", tick=cancelled):
            raise AssertionError
        assert memory.names == ["first"]
    memory.try_on("first")


def test_as_many_as_needed_make_room_and_no_more() -> None:
    memory = Memory(10)
    for slug in ("a4", "b3", "c3", "d5"):
        memory.try_on(slug)
    assert memory.names == ["c3", "d5"]
    memory.try_on("e2")
    assert memory.names == ["c3", "d5", "e2"]


def test_a_subject_larger_than_the_budget_is_loaded_alone() -> None:
    memory = Memory(10)
    memory.try_on("small")
    memory.try_on("large30")
    assert memory.names == ["large30"]
    memory.try_on("small")
    assert memory.names == ["small"]


def test_nothing_is_released_in_vain() -> None:
    memory = Memory(10)
    memory.run("of-runs-8")
    memory.try_on("free2")
    with pytest.raises(Conflict, match=r"no room for other5 .*: runs use of-runs-8, .* NEURON_AUDIT_SUBJECT_MEGABYTES"):
        memory.try_on("other5")
    assert memory.names == ["of-runs-8", "free2"]


def test_what_runs_hold_stays_when_another_run_needs_more_than_the_rest() -> None:
    memory = Memory(10)

    def cancelled() -> None:
        raise InterruptedError

    with memory.subjects.for_run("held4"):
        memory.run("b6")
        with pytest.raises(InterruptedError), memory.subjects.for_run("c7", tick=cancelled):
            raise AssertionError
        assert memory.names == ["held4", "b6"]


@pytest.mark.parametrize("use", [Memory.run, Memory.try_on])
def test_a_subject_that_cannot_be_loaded_leaves_the_room_free(use: Callable[[Memory, str], None]) -> None:
    memory = Memory(1)
    memory.subjects = memory.kept_by(lambda slug: memory.load(slug) if slug == "good" else _fail())
    with pytest.raises(OSError, match="no model"):
        use(memory, "bad")
    use(memory, "good")
    assert memory.names == ["good"]


def _fail() -> Subject:
    raise OSError("no model")
