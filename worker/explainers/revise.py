"""An explanation is tested on sentences written for it and corrected from where it fails."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.domain.results import ScoreResult, SimulatedExcerpt
from app.domain.scores import Estimate, correlation_with_interval
from app.domain.steps.explainers import MOST_SHOWN, SENTENCES
from app.domain.steps.scorers import WRITTEN
from app.errors import MethodError
from worker.explainers.choosing import inner_of, ranked, simulated, simulator_of
from worker.explainers.prompted import EXPLANATION, MOST_TOKENS, maximum_of
from worker.method.baselines import token_lookup
from worker.method.contracts import Candidate, NeuronTask, Services, Simulator, shown_together
from worker.method.live import LiveSubject, live_subject
from worker.method.prompts import load
from worker.method.prompts.rendering import block, escape, highlighted, highlighted_peak, levelled
from worker.method.sentences import MeasuredSentence, measure, write_sentences
from worker.method.structured_requests import StructuredRequest, request_all
from worker.providers.base import Message, Provider

SCORER = "correlation"


class Revise:
    """Explains, writes test sentences, measures the subject on them, corrects the text from the misses.

    Every second sentence revises, the others score the first and the corrected text (sample
    ``written``). Both are candidates; the one that correlates better on the calibration split is
    first. Source of the idea: revision with counterexamples in "Language models can explain neurons
    in language models" (2023).
    """

    name = "revise"
    version = 1

    def __init__(self, provider: Provider, services: Services, parameters: Mapping[str, Any]) -> None:
        self.provider = provider
        self.explainer = inner_of(services, self.name)
        self.simulator: Simulator = simulator_of(services, self.name)
        self.subject: LiveSubject = live_subject(services, self.name)
        self.n_sentences: int = parameters.get("n_sentences", SENTENCES)
        self.max_tokens: int = parameters.get("max_tokens", MOST_TOKENS)

    @classmethod
    def build(cls, parameters: Mapping[str, Any], services: Services) -> "Revise":
        """``n_sentences`` are written of each sort: to fire and to be silent. ``max_tokens`` bounds replies."""
        if services.provider is None:
            raise MethodError(f"The explainer {cls.name} needs a language model; the method names no provider.")
        return cls(services.provider, services, parameters)

    def explain(self, task: NeuronTask) -> tuple[Candidate, ...]:
        """The first and the corrected text, the better first; the first alone where nothing was missed.

        Raises MethodError where the first text fails, ProviderError as the provider does.
        """
        first = self.explainer.explain(task)[0]
        written = write_sentences(
            self.provider, first.text, n=self.n_sentences, seed=task.seed, max_tokens=self.max_tokens
        )
        if written.value is None:
            return (_noted(first, {"failure": f"no test sentences: {written.failure}"}),)
        measured = measure(written.value, task, self.subject, maximum=maximum_of(task))
        revising, scoring = measured[::2], measured[1::2]
        candidates = [_noted(first, _note(measured, revised=False))]
        if any(m.missed for m in revising):
            candidates += self._revised(first, revising, measured, task)
        scored = [replace(c, scores=(self._written_score(c.text, scoring, task),)) for c in candidates]
        if len(scored) == 1:
            return tuple(scored)
        return ranked(scored, task, self.simulator)

    def _revised(
        self,
        first: Candidate,
        revising: Sequence[MeasuredSentence],
        measured: Sequence[MeasuredSentence],
        task: NeuronTask,
    ) -> list[Candidate]:
        question = StructuredRequest(
            step="revise",
            messages=revision_prompt(first.text, revising, task),
            form=EXPLANATION,
            max_tokens=self.max_tokens,
            seed=task.seed,
        )
        (answer,) = request_all(self.provider, [question])
        if answer.value is None or answer.value == first.text:
            return []
        note = {**_note(measured, revised=True), "of": first.text, "prompt": load("revise").provenance}
        shown = shown_together(first.shown, {"train": tuple(r.excerpt_id for r in task.train[:MOST_SHOWN])})
        revised = Candidate(answer.value, first.provenance, shown=shown)
        return [_noted(revised, {**note, "model": answer.model})]

    def _written_score(self, text: str, scoring: Sequence[MeasuredSentence], task: NeuronTask) -> ScoreResult:
        records = [m.record for m in scoring]
        estimate, n_valid = _estimate(scoring, simulated(text, records, task, self.simulator), task.seed)
        baseline, _ = _estimate(scoring, token_lookup(task.records, records), task.seed)
        return ScoreResult(
            scorer=SCORER,
            sample=WRITTEN,
            simulator=self.simulator.name,
            value=estimate.value,
            n_valid=n_valid,
            n_failed=len(records) - n_valid,
            undefined_reason=estimate.undefined_reason,
            interval=estimate.interval,
            token_lookup_baseline=baseline.value,
        )


def _estimate(
    scoring: Sequence[MeasuredSentence], simulations: Sequence[SimulatedExcerpt], seed: int
) -> tuple[Estimate, int]:
    """Correlation over the sentences that could be simulated, and how many these are."""
    kept = [(m, s.expected) for m, s in zip(scoring, simulations, strict=True) if s.expected is not None]
    estimate = correlation_with_interval(
        [m.record.activations for m, _ in kept],
        [expected for _, expected in kept],
        [int(m.sentence.fires) for m, _ in kept],
        seed=seed,
    )
    return estimate, len(kept)


def revision_prompt(text: str, revising: Sequence[MeasuredSentence], task: NeuronTask) -> tuple[Message, ...]:
    """The claim, the train records and the revising half of the sentences, with their real activations marked."""
    maximum = maximum_of(task)
    parts = [block("claim", escape(text))]
    for i, record in enumerate(task.train[:MOST_SHOWN], 1):
        parts.append(block(f"excerpt {i}", highlighted_peak(levelled(record, task.vocabulary, maximum))))
    for fires, title in ((True, "expected to fire"), (False, "expected silent")):
        for i, m in enumerate((m for m in revising if m.sentence.fires is fires), 1):
            parts.append(block(f"{title} {i}", highlighted(levelled(m.record, task.vocabulary, maximum))))
    return (Message("system", load("revise").text), Message("user", "\n".join(parts)))


def _noted(candidate: Candidate, note: Mapping[str, Any]) -> Candidate:
    return replace(candidate, provenance={**candidate.provenance, "revision": dict(note)})


def _note(measured: Sequence[MeasuredSentence], *, revised: bool) -> dict[str, Any]:
    return {
        "revised": revised,
        "sentences": [
            {
                "text": m.sentence.text,
                "fires": m.sentence.fires,
                "fired": m.fired,
                "used_to": "revise" if i % 2 == 0 else "score",
                "token_ids": m.record.token_ids.tolist(),
                "activations": [round(float(a), 4) for a in m.record.activations],
            }
            for i, m in enumerate(measured)
        ],
        "sentences_prompt": load("write_sentences").provenance,
    }
