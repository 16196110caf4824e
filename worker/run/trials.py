"""The handlers of trials, which run a person's text through a subject.

They return one neuron's real and expected activations, or the neurons that fire most.
"""

import time
from collections.abc import Sequence
from functools import partial

import numpy as np

from app.db import Sessions, transaction
from app.domain.activations import NORMALISED_MAXIMUM
from app.domain.arrays import Float32s, Int32s, Int64s
from app.domain.tokens import Vocabulary
from app.domain.trials import MOST_FIRING, FiringNeuron, FiringResult, TrialResult
from app.queries.neurons.records import neuron_records, vocabulary
from app.queries.neurons.trials import TrialInput, neuron_maxima, trial_input
from app.work.lease import TaskLease
from worker.method.contracts import CannotSimulate, Services
from worker.method.registry import SIMULATORS
from worker.run.held import Done, HeldWork
from worker.run.subjects import Subjects

ASKS_MODEL = "The simulator of this explanation asks a language model, so only real activations are shown here."


class TrialHandler:
    """Runs texts through subjects. Vocabularies are cached."""

    def __init__(self, sessions: Sessions, subjects: Subjects) -> None:
        self._sessions, self._subjects = sessions, subjects
        self._vocabularies: dict[int, Vocabulary] = {}

    def __call__(self, held: HeldWork[TaskLease]) -> Done:
        """Return the ``TrialResult`` of one text. Raises NotFound, SubjectError; Conflict if runs need the memory."""
        start = time.monotonic()
        parameters = held.lease.parameters
        trial, level_10 = held.through_outages(
            partial(self._read, parameters["neuron_id"], parameters["explanation_id"])
        )
        held.doing = f"a text on {trial.slug} {trial.layer}/{trial.index}"
        with self._subjects.for_trial(trial.slug) as subject:
            (record,) = subject.activations([parameters["text"]], layer=trial.layer, index=trial.index)
        expected, note = self._expected(trial, record.token_ids)
        result = TrialResult(
            token_ids=record.token_ids.tolist(),
            activations=record.activations.tolist(),
            expected=expected,
            note=note,
            seconds=time.monotonic() - start,
            unit=None if expected is None else level_10 / NORMALISED_MAXIMUM,
            simulator=None if expected is None else trial.simulator,
        )
        return Done(result=result.as_json())

    def _read(self, neuron_id: int, explanation_id: int | None) -> tuple[TrialInput, float]:
        """The trial, and the activation that level 10 corresponds to."""
        with transaction(self._sessions) as session:
            trial = trial_input(session, neuron_id=neuron_id, explanation_id=explanation_id)
            if trial.maximum is not None:
                return trial, max(0.0, trial.maximum)
            return trial, neuron_records(session, neuron_id=neuron_id).level_10

    def _expected(self, trial: TrialInput, token_ids: Int32s) -> tuple[list[float] | None, str | None]:
        """The expected activations by the explanation, or the reason why there are none."""
        if trial.explanation is None:
            return None, None
        if trial.provider is not None:
            return None, ASKS_MODEL
        simulator = SIMULATORS[trial.simulator].build({}, Services())
        try:
            (simulated,) = simulator.simulate(
                trial.explanation, [(-1, token_ids)], self._vocabulary(trial.tokenizer_id)
            )
        except CannotSimulate as error:
            return None, error.message
        return (None, simulated.failure) if simulated.expected is None else (simulated.expected.tolist(), None)

    def _vocabulary(self, tokenizer_id: int) -> Vocabulary:
        if tokenizer_id not in self._vocabularies:
            with transaction(self._sessions) as session:
                self._vocabularies[tokenizer_id] = vocabulary(session, tokenizer_id=tokenizer_id)
        return self._vocabularies[tokenizer_id]


class FiringHandler:
    """Runs texts through subjects and ranks all neurons by their activations."""

    def __init__(self, sessions: Sessions, subjects: Subjects) -> None:
        self._sessions, self._subjects = sessions, subjects

    def __call__(self, held: HeldWork[TaskLease]) -> Done:
        """Return the ``FiringResult`` of one text. Raises SubjectError, and Conflict if runs need the memory."""
        start = time.monotonic()
        parameters = held.lease.parameters
        held.doing = f"the neurons of {parameters['slug']} that fire on a text"
        with self._subjects.for_trial(parameters["slug"]) as subject:
            token_ids, layers = subject.peaks(parameters["text"])
        known = held.through_outages(
            partial(self._maxima, parameters["subject_id"], [len(peaks) for peaks, _ in layers])
        )
        peaks, tokens = np.concatenate([p for p, _ in layers]), np.concatenate([t for _, t in layers])
        maxima = np.concatenate(known)
        compared = maxima > 0
        shares = np.divide(peaks, maxima, out=np.full(len(peaks), -np.inf, np.float32), where=compared)
        starts = np.cumsum([0, *(len(layer) for layer in known)])
        order = np.argsort(-shares, kind="stable")[:MOST_FIRING]
        result = FiringResult(
            token_ids=token_ids.tolist(),
            neurons=[
                _firing(int(at), starts, float(peaks[at]), int(tokens[at]), float(shares[at]))
                for at in order
                if shares[at] > 0
            ],
            n_compared=int(compared.sum()),
            seconds=time.monotonic() - start,
        )
        return Done(result=result.as_json())

    def _maxima(self, subject_id: int, widths: Sequence[int]) -> list[Float32s]:
        with transaction(self._sessions) as session:
            return neuron_maxima(session, subject_id=subject_id, widths=widths)


def _firing(at: int, starts: Int64s, peak: float, token: int, share: float) -> FiringNeuron:
    """The neuron at an index over all layers; ``starts`` are the layers' first indices."""
    layer = int(np.searchsorted(starts, at, side="right")) - 1
    return FiringNeuron(layer, at - int(starts[layer]), peak, token, share)


class WarmUpHandler:
    """Loads a subject on which a person is about to try a text."""

    def __init__(self, subjects: Subjects) -> None:
        self._subjects = subjects

    def __call__(self, held: HeldWork[TaskLease]) -> Done:
        """Return nothing, once the subject is loaded. Raises SubjectError."""
        with self._subjects.for_trial(held.lease.parameters["slug"]):
            return Done()
