"""Which neurons of a subject fire on a text: asked of a worker, who has the subject loaded."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Form
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from app.domain.bounds import LONGEST_TRIAL
from app.queries.neurons.trials import FiringShown, firing_shown, texts_of
from app.queries.runs.progress import worker_count
from app.queries.subjects.lookup import SubjectHead, subject_head
from app.web.deps import DbSession, IdInQuery, MayTry
from app.web.heat.vocabularies import Vocabularies
from app.web.http.routing import PageRouter
from app.web.listing.waiting import QUICK_SECONDS, TrialState, state_of
from app.web.neuron.evidence import KnownVocabularies, token_at
from app.web.neuron.trials import tried_text
from app.web.rendering.templating import CurrentView, page
from app.work.trials import enqueue_firing

router = PageRouter()


class FiringForm(BaseModel):
    """What a person sends to find the neurons that fire on a text."""

    text: str


@dataclass(frozen=True, slots=True)
class FiringRow:
    """A neuron that fires on the text: how much, as a share of its own maximum, and on which token."""

    layer: int
    index: int
    explanation: str | None
    peak: float
    share: float
    token: str


@dataclass(frozen=True, slots=True)
class SubjectFiring:
    """The form, and the state or result of the text that was sent."""

    subject: SubjectHead
    address: str
    here: str
    """The address of this search."""
    text: str
    state: TrialState
    is_slow: bool
    error: str | None
    rows: tuple[FiringRow, ...]
    n_compared: int
    seconds: float | None
    workers_alive: int


@page(router, "/{slug}/firing", template="subject/firing.html", partial="subject/_firing.html", is_kept=True)
def firing(session: DbSession, known: KnownVocabularies, slug: str, trial: IdInQuery = None) -> SubjectFiring:
    """A form for a text, and the neurons that fire most on the one that was sent."""
    head = subject_head(session, slug=slug)
    shown = None if trial is None else firing_shown(session, trial_id=trial, subject_id=head.id)
    return _context(session, head, known, shown)


@router.post("/{slug}/firing", include_in_schema=False)
def ask(
    session: DbSession,
    view: CurrentView,
    known: KnownVocabularies,
    viewer: MayTry,
    slug: str,
    form: Annotated[FiringForm, Form()],
) -> Response:
    """Queue a text to be run through the subject."""
    head = subject_head(session, slug=slug)
    words = tried_text(form.text)
    trial_id = enqueue_firing(session, subject_id=head.id, slug=head.slug, account_id=viewer.id, words=words)
    if view.wants_part:
        shown = firing_shown(session, trial_id=trial_id, subject_id=head.id)
        return view.html("subject/_firing.html", _context(session, head, known, shown))
    return RedirectResponse(f"/{head.slug}/firing?trial={trial_id}#_firing", status_code=303)


def _context(session: Session, head: SubjectHead, known: Vocabularies, shown: FiringShown | None) -> SubjectFiring:
    address = f"/{head.slug}/firing"
    result = None if shown is None else shown.result
    age = 0.0 if shown is None else shown.age_seconds
    return SubjectFiring(
        subject=head,
        address=address,
        here=address if shown is None else f"{address}?trial={shown.id}",
        text="" if shown is None else shown.text[:LONGEST_TRIAL],
        state="none" if shown is None else state_of(shown.status, has_result=result is not None, age_seconds=age),
        is_slow=age > QUICK_SECONDS,
        error=None if shown is None else shown.error,
        rows=() if shown is None else _rows(session, head, known, shown),
        n_compared=0 if result is None else result.n_compared,
        seconds=None if result is None else result.seconds,
        workers_alive=worker_count(session).alive,
    )


def _rows(session: Session, head: SubjectHead, known: Vocabularies, shown: FiringShown) -> tuple[FiringRow, ...]:
    result = shown.result
    if result is None or not result.neurons:
        return ()
    texts = texts_of(session, subject_id=head.id, positions=[(n.layer, n.index) for n in result.neurons])
    words = known.get(session, tokenizer_id=shown.tokenizer_id, biggest_token=max(result.token_ids))
    tokens = words.strings(result.token_ids)
    return tuple(
        FiringRow(
            layer=neuron.layer,
            index=neuron.index,
            explanation=texts.get((neuron.layer, neuron.index)),
            peak=neuron.peak,
            share=neuron.share,
            token=token_at(tokens, neuron.at),
        )
        for neuron in result.neurons
    )
