"""Try a text: a neuron's live activations and what an explanation expects of it."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Depends, Form, Query
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from app.domain.activations import SampleKind, pack_activations
from app.domain.bounds import BIGGEST_ID, LONGEST_TRIAL
from app.domain.heat import heat_scale
from app.domain.roles import Permission
from app.domain.trials import TrialResult
from app.errors import Invalid
from app.queries.common.inputs import plain_text
from app.queries.neurons.head import NeuronHead
from app.queries.neurons.page import StoredExcerpt, StoredSample, StoredSimulation
from app.queries.neurons.trials import TrialShown, TriedExplanation, trial_shown, tried_explanation
from app.queries.people.accounts import Viewer
from app.queries.runs.progress import worker_count
from app.web.deps import DbSession, allowed_to
from app.web.heat.vocabularies import ShownVocabulary, Vocabularies
from app.web.neuron.address import ROUTE, Head, path_of
from app.web.neuron.evidence import KnownVocabularies, Line, RowSource, real_rows, shown_samples
from app.web.neuron.simulations import simulated_rows
from app.web.rendering.templating import CurrentView, page
from app.work.trials import enqueue_trial, enqueue_warm_up

router = APIRouter()

"""Characters; a subject reads no more tokens of it than one of its excerpts has."""
QUICK_SECONDS = 10.0
"""While it is shorter, the page polls several times a second; then the worker is loading, or busy."""
PATIENCE_SECONDS = 180.0
"""After so long without an answer the page stops asking."""

LIVE = -1
"""The id of the one excerpt that is not stored."""

State = Literal["none", "waiting", "done", "failed", "unanswered"]
Id = Annotated[int | None, Query(ge=1, le=BIGGEST_ID)]
MayTry = Annotated[Viewer, Depends(allowed_to(Permission.TRY), scope="function")]


class TrialForm(BaseModel):
    """What a person sends to try a text."""

    text: str
    explanation_id: int | None = Field(None, ge=1, le=BIGGEST_ID)


@dataclass(frozen=True, slots=True)
class TrialRow:
    """A text with its live activations, and what the explanation expects."""

    tokens: list[str]
    activations: list[float]
    expected: list[float] | None
    """0..10."""
    unit: float | None
    """The activation, in the model's units, that 1 of ``expected`` corresponds to."""
    simulator: str | None
    note: str | None
    seconds: float
    """The worker's own time."""
    peak: float
    line: Line


@dataclass(frozen=True, slots=True)
class NeuronTry:
    """The form, and what became of the text that was sent."""

    neuron: NeuronHead
    address: str
    here: str
    """The address of this trial."""
    explanation: TriedExplanation | None
    text: str
    scale: float
    state: State
    is_slow: bool
    error: str | None
    row: TrialRow | None
    workers_alive: int


@page(router, f"{ROUTE}/try", template="neuron/try.html", partial="neuron/_trial.html")
def try_text(
    session: DbSession,
    head: Head,
    known: KnownVocabularies,
    trial: Id = None,
    explanation: Id = None,
) -> NeuronTry:
    """A form for a text, and the result for the one that was sent."""
    shown = None if trial is None else trial_shown(session, trial_id=trial, neuron_id=head.id)
    return _context(session, head, known, shown, explanation)


@router.post(f"{ROUTE}/try", include_in_schema=False)
def ask(
    session: DbSession,
    view: CurrentView,
    head: Head,
    known: KnownVocabularies,
    viewer: MayTry,
    form: Annotated[TrialForm, Form()],
) -> Response:
    """Queue a text to be run through the subject."""
    words = form.text.replace("\r\n", "\n")  # white space at its ends stays: it belongs to tokens
    if not plain_text(words[: LONGEST_TRIAL + 1], what="text", limit=LONGEST_TRIAL):
        raise Invalid("The text is empty. Type something that the neuron may fire on.")
    if form.explanation_id is not None:
        tried_explanation(session, neuron_id=head.id, explanation_id=form.explanation_id)
    trial_id = enqueue_trial(
        session, neuron_id=head.id, explanation_id=form.explanation_id, account_id=viewer.id, words=words
    )
    if view.wants_part:
        shown = trial_shown(session, trial_id=trial_id, neuron_id=head.id)
        return view.html("neuron/_trial.html", _context(session, head, known, shown, None))
    return RedirectResponse(f"{path_of(head)}/try?trial={trial_id}#_trial", status_code=303)


@router.post(f"{ROUTE}/try/warm-up", include_in_schema=False)
def warm_up(session: DbSession, view: CurrentView, head: Head, viewer: MayTry) -> Response:
    """Let a worker load the subject while the person types."""
    enqueue_warm_up(session, subject_id=head.subject_id, slug=head.slug, account_id=viewer.id)
    if view.wants_part:
        return Response(status_code=204)
    return RedirectResponse(f"{path_of(head)}/try", status_code=303)


def _context(
    session: Session, head: NeuronHead, known: Vocabularies, trial: TrialShown | None, wanted: int | None
) -> NeuronTry:
    explanation_id = trial.explanation_id if trial is not None else wanted or head.current_explanation_id
    result = None if trial is None else trial.result
    scale, row = _scale(head, result), None
    if result is not None:
        biggest = max(result.token_ids, default=0)
        words = known.get(session, tokenizer_id=head.tokenizer_id, biggest_token=biggest)
        row = _row(result, words, scale)
    address = path_of(head)
    return NeuronTry(
        neuron=head,
        address=address,
        here=f"{address}/try" if trial is None else f"{address}/try?trial={trial.id}",
        explanation=None
        if explanation_id is None
        else tried_explanation(session, neuron_id=head.id, explanation_id=explanation_id),
        text="" if trial is None else trial.text,
        scale=scale,
        state=_state(trial),
        is_slow=trial is not None and trial.age_seconds > QUICK_SECONDS,
        error=None if trial is None else trial.error,
        row=row,
        workers_alive=worker_count(session).alive,
    )


def _scale(head: NeuronHead, result: TrialResult | None) -> float:
    """The neuron's own scale; where its maximum is not known, that of the live activations."""
    if head.statistics.max is not None or result is None:
        return heat_scale(head.statistics.max, head.statistics.min)
    return heat_scale(max(result.activations, default=None), min(result.activations, default=None))


def _state(trial: TrialShown | None) -> State:
    if trial is None:
        return "none"
    if trial.result is not None:
        return "done"
    if trial.status.may_be_retried:
        return "failed"
    return "waiting" if trial.age_seconds < PATIENCE_SECONDS else "unanswered"


def _row(result: TrialResult, words: ShownVocabulary, scale: float) -> TrialRow:
    """Shown as a stored record would be."""
    source = RowSource({LIVE: StoredExcerpt(LIVE, result.token_ids, None, 0)}, words, scale)
    activations, expected = (np.array(v or (), dtype=np.float32) for v in (result.activations, result.expected))
    sample = StoredSample(SampleKind.TOP, 0, [LIVE], pack_activations([activations]))
    line = shown_samples(source, [sample])[0].rows[0].line
    if result.expected is not None and result.unit is not None:
        simulation = StoredSimulation(
            explanation_id=LIVE,
            simulator="",
            kind=sample.kind,
            split="",
            collection_id=0,
            unit=result.unit,
            excerpt_ids=[LIVE],
            expected=pack_activations([expected]),
            failures={},
        )
        (simulated,) = simulated_rows(source, real_rows(source, [sample]), simulation)
        line = simulated.line
    return TrialRow(
        tokens=source.strings(result.token_ids),
        activations=result.activations,
        expected=result.expected,
        unit=result.unit,
        simulator=result.simulator,
        note=result.note,
        seconds=result.seconds,
        peak=max(result.activations, default=0.0),
        line=line,
    )
