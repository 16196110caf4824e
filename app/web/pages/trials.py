"""Try a text: a neuron's live activations and what an explanation expects of it."""

import math
from dataclasses import dataclass, replace
from itertools import islice
from typing import Annotated

import numpy as np
from fastapi import Depends, Form
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from app.domain.bounds import BIGGEST_ID, LONGEST_TRIAL
from app.domain.heat import heat_scale
from app.domain.samples import SampleKind
from app.domain.shown_evidence import Firing, firing
from app.domain.trials import TrialResult
from app.errors import NotFound
from app.queries.neurons.head import NeuronHead
from app.queries.neurons.page import samples_with, samples_with_excerpts, stored_excerpts
from app.queries.neurons.trials import (
    LastText,
    TrialShown,
    TriedExplanation,
    last_texts,
    trial_shown,
    tried_explanation,
)
from app.queries.runs.progress import worker_count
from app.web.deps import CurrentViewer, DbSession, IdInQuery, MayTry
from app.web.heat.vocabularies import ShownVocabulary, Vocabularies
from app.web.http.routing import PageRouter
from app.web.listing.waiting import QUICK_SECONDS, TrialState, state_of
from app.web.neuron.address import ROUTE, Head, path_of
from app.web.neuron.evidence import KnownVocabularies, Line, RowSource, excerpt_rows, source_of, token_at
from app.web.neuron.simulations import Expected, numbers
from app.web.neuron.trials import tried_text
from app.web.rendering.templating import CurrentView, page
from app.work.trials import enqueue_trial, enqueue_warm_up

router = PageRouter()

N_STARTS = 6
"""Number of top excerpts that are offered as starting text."""


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
    """Expected activations, 0..10."""
    unit: float | None
    """The activation, in the model's units, that an expected activation of 1 corresponds to."""
    simulator: str | None
    note: str | None
    seconds: float
    """Seconds that the worker took."""
    peak: float
    peak_at: int
    share: float | None
    """Share of the neuron's maximum over the corpus; None if that is not known or not above 0."""
    table: Line

    @property
    def firing(self) -> Firing:
        """How the neuron fires on the text."""
        return firing(round(math.floor(10 * min(1.0, max(0.0, self.share or 0.0)))))

    @property
    def token(self) -> str:
        """The token with the highest activation."""
        return token_at(self.tokens, self.peak_at)

    @property
    def expected_there(self) -> float | None:
        """The expected activation on that token, in the model's units."""
        if self.expected is None or self.unit is None or not self.expected:
            return None
        return self.expected[self.peak_at] * self.unit


@dataclass(frozen=True, slots=True)
class ExcerptStart:
    """An excerpt that a person may start from, by the text around its peak."""

    excerpt_id: int
    peak: float
    around: str


@dataclass(frozen=True, slots=True)
class NeuronTry:
    """The form, and the state or result of the text that was sent."""

    neuron: NeuronHead
    address: str
    here: str
    """URL of this trial."""
    explanation: TriedExplanation | None
    text: str
    scale: float
    state: TrialState
    is_slow: bool
    error: str | None
    row: TrialRow | None
    workers_alive: int
    last: tuple[LastText, ...]
    """The last texts that the viewer has tried on this neuron."""
    excerpts: tuple[ExcerptStart, ...]
    """Top excerpts that are offered as starting text."""


@dataclass(frozen=True, slots=True)
class AskedTrial:
    """The query of the page."""

    trial: int | None
    explanation: int | None
    excerpt: int | None
    """The excerpt whose text fills the form."""


async def asked_trial(trial: IdInQuery = None, explanation: IdInQuery = None, excerpt: IdInQuery = None) -> AskedTrial:
    """Parse the query of the page."""
    return AskedTrial(trial, explanation, excerpt)


@page(router, f"{ROUTE}/try", template="neuron/try.html", partial="neuron/_trial.html")
def try_text(
    session: DbSession,
    head: Head,
    known: KnownVocabularies,
    viewer: CurrentViewer,
    asked: Annotated[AskedTrial, Depends(asked_trial)],
) -> NeuronTry:
    """A form for a text, and the result for the one that was sent."""
    shown = None if asked.trial is None else trial_shown(session, trial_id=asked.trial, neuron_id=head.id)
    context = _context(session, head, known, shown, asked.explanation)
    top = _top_excerpts(session, head, known, asked.excerpt)
    last = () if viewer is None else last_texts(session, account_id=viewer.id, neuron_id=head.id)
    text = context.text if asked.excerpt is None or shown is not None else top.text
    return replace(context, last=last, excerpts=top.starts, text=text)


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
    words = tried_text(form.text)
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
        row = _row(result, words, scale, head.statistics.max)
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
        state="none"
        if trial is None
        else state_of(trial.status, has_result=result is not None, age_seconds=trial.age_seconds),
        is_slow=trial is not None and trial.age_seconds > QUICK_SECONDS,
        error=None if trial is None else trial.error,
        row=row,
        workers_alive=worker_count(session).alive,
        last=(),
        excerpts=(),
    )


@dataclass(frozen=True, slots=True)
class _Starts:
    starts: tuple[ExcerptStart, ...]
    text: str
    """The whole text of the chosen excerpt."""


def _top_excerpts(session: Session, head: NeuronHead, known: Vocabularies, chosen: int | None) -> _Starts:
    """The first top excerpts, and the text of the one that was chosen. Raises NotFound for one without a record."""
    samples, excerpts = samples_with_excerpts(
        session, neuron_id=head.id, collection_id=head.collection_id, kind=SampleKind.TOP
    )
    source = source_of(session, known, head=head, samples=samples, excerpts=excerpts)
    rows = [row for sample in samples for row in islice(excerpt_rows(source, sample, most=0), N_STARTS)]
    starts = tuple(ExcerptStart(row.excerpt_id, row.peak, row.around) for row in rows)
    if chosen is None:
        return _Starts(starts, "")
    if not samples_with(session, neuron_id=head.id, excerpt_id=chosen):
        raise NotFound("Nothing is stored of this neuron on this excerpt.")
    token_ids = stored_excerpts(session, excerpt_ids=[chosen])[chosen].token_ids
    words = known.get(session, tokenizer_id=head.tokenizer_id, biggest_token=max(token_ids, default=0))
    data = b"".join(words.raw(token_ids))
    return _Starts(starts, data.decode("utf-8", errors="replace").replace("\0", "")[:LONGEST_TRIAL])


def _scale(head: NeuronHead, result: TrialResult | None) -> float:
    """The neuron's own scale; where its maximum is not known, that of the live activations."""
    if head.statistics.max is not None or result is None:
        return heat_scale(head.statistics.max, head.statistics.min)
    return heat_scale(max(result.activations, default=None), min(result.activations, default=None))


def _row(result: TrialResult, words: ShownVocabulary, scale: float, maximum: float | None) -> TrialRow:
    """Shown as a stored record would be."""
    source = RowSource({}, words, scale)
    real = np.array(result.activations, dtype=np.float32)
    peak_at = int(real.argmax()) if real.size else 0
    expected = None
    if result.expected is not None and result.unit is not None:
        expected = Expected("Expected", np.array(result.expected, dtype=np.float32), result.unit)
    return TrialRow(
        tokens=source.strings(result.token_ids),
        activations=result.activations,
        expected=result.expected,
        unit=result.unit,
        simulator=result.simulator,
        note=result.note,
        seconds=result.seconds,
        peak=max(result.activations, default=0.0),
        peak_at=peak_at,
        share=max(result.activations, default=0.0) / maximum if maximum is not None and maximum > 0 else None,
        table=numbers(source, result.token_ids, real, [] if expected is None else [expected]),
    )
