"""Texts that people try on a neuron: answered at once, by a thread of their own that sleeps until one is asked."""

import threading
import time
from collections.abc import Callable
from functools import partial

import psycopg
import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.db import Sessions, transaction
from app.domain.activations import IntArray
from app.domain.tokens import Vocabulary
from app.domain.trials import TrialResult
from app.errors import DomainError
from app.queries.neurons.records import vocabulary
from app.queries.runs.trials import CHANNEL, LEXICAL, TakenTrial, fail_trial, finish_trial, take_trial
from worker.method.contracts import CannotSimulate, Services
from worker.method.live import LiveSubject
from worker.method.registry import SIMULATORS
from worker.run.outages import ignoring_outages, reason, through_outages

log: structlog.stdlib.BoundLogger = structlog.get_logger()

FindSubject = Callable[[str], LiveSubject]
"""A loaded subject by its name in addresses; kept between calls."""

WAKE_SECONDS = 1.0
"""Longest sleep: how late a stop or a notification that was lost is noticed."""
ASKS_MODEL = "The simulator of this explanation asks a language model, so only real activations are shown here."


class TrialLoop:
    """Answers trials until told to stop. The subject that was asked for last stays loaded."""

    def __init__(self, sessions: Sessions, subjects: FindSubject, *, stop: threading.Event) -> None:
        self._sessions = sessions
        self._subjects = subjects
        self._stop = stop
        self._vocabularies: dict[int, Vocabulary] = {}

    def run(self, engine: Engine) -> None:
        """Listen and answer, through outages of the database."""
        while not self._stop.is_set():
            with ignoring_outages("trials.database_away"):
                try:
                    self._listen(engine)
                except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                    log.warning("trials.database_away", reason=reason(error))
            self._stop.wait(WAKE_SECONDS)

    def _listen(self, engine: Engine) -> None:
        # A connection of its own: one that listens is not to be handed to others.
        positional, named = engine.dialect.create_connect_args(engine.url)
        with psycopg.connect(*positional, **{**named, "autocommit": True}) as driver:
            driver.execute(f"LISTEN {CHANNEL}")
            while not self._stop.is_set():
                while self.answer_one():
                    pass
                for notification in driver.notifies(timeout=WAKE_SECONDS, stop_after=1):
                    if notification.payload:
                        self._warm_up(notification.payload)

    def answer_one(self) -> bool:
        """Answer the oldest trial that waits; whether there was one."""
        with transaction(self._sessions) as session:
            trial = take_trial(session)
        if trial is None:
            return False
        try:
            result = self._answer(trial)
        except Exception as error:
            if not isinstance(error, DomainError):
                log.warning("trial.failed", trial_id=trial.id, exc_info=error)
            self._store(partial(fail_trial, trial_id=trial.id, error=reason(error)))
        else:
            self._store(partial(finish_trial, trial_id=trial.id, result=result))
        return True

    def _store(self, ending: Callable[[Session], None]) -> None:
        def action() -> None:
            with transaction(self._sessions) as session:
                ending(session)

        through_outages(action, stop=self._stop)

    def _warm_up(self, slug: str) -> None:
        """Load a subject while somebody types; one that cannot be loaded is told when it is asked for."""
        try:
            self._subjects(slug)
        except Exception as error:  # noqa: BLE001 - nobody waits for this; the trial that follows says the same
            log.warning("trials.subject_not_loaded", subject=slug, reason=reason(error))

    def _answer(self, trial: TakenTrial) -> TrialResult:
        start = time.monotonic()
        subject = self._subjects(trial.subject)
        (record,) = subject.activations([trial.text], layer=trial.layer, index=trial.index)
        expected, note = self._expected(trial, record.token_ids)
        return TrialResult(
            token_ids=record.token_ids.tolist(),
            activations=record.activations.tolist(),
            expected=expected,
            note=note,
            seconds=time.monotonic() - start,
        )

    def _expected(self, trial: TakenTrial, token_ids: IntArray) -> tuple[list[float] | None, str | None]:
        """What the explanation expects, or why there is nothing to show."""
        if trial.explanation is None:
            return None, None
        if trial.provider is not None:
            return None, ASKS_MODEL
        simulator = SIMULATORS[trial.simulator or LEXICAL].build({}, Services())
        try:
            (answer,) = simulator.simulate(trial.explanation, [(-1, token_ids)], self._vocabulary(trial.tokenizer_id))
        except CannotSimulate as error:
            return None, error.message
        return (None, answer.failure) if answer.expected is None else (answer.expected.tolist(), None)

    def _vocabulary(self, tokenizer_id: int) -> Vocabulary:
        if tokenizer_id not in self._vocabularies:
            with transaction(self._sessions) as session:
                self._vocabularies[tokenizer_id] = vocabulary(session, tokenizer_id=tokenizer_id)
        return self._vocabularies[tokenizer_id]
