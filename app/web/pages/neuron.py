"""A neuron's page: what is claimed about it, and the evidence."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from app.domain.flags import FlagReason
from app.domain.heat import heat_scale
from app.domain.roles import Action
from app.errors import NotFound
from app.queries.common.inputs import BIGGEST_ID
from app.queries.methods.definitions import methods
from app.queries.neurons.claims import (
    CandidateRow,
    FlagShown,
    RunShown,
    ScoreRow,
    neuron_candidates,
    neuron_flags,
    neuron_runs,
)
from app.queries.neurons.page import (
    NeuronHead,
    NeuronParts,
    neuron_head,
    neuron_parts,
    neuron_samples,
    stored_excerpts,
)
from app.queries.people.accounts import Viewer
from app.queries.review.flags import NOTE_LIMIT, open_flag
from app.web.deps import AppSettings, CurrentViewer, DbSession, allowed_to
from app.web.evidence import Evidence, SampleShown, SimulationShown, shown_samples, shown_simulations
from app.web.history import HistoryLine, history_lines
from app.web.templating import CurrentView, page
from app.web.vocabularies import Vocabularies
from app.work.enqueue import enqueue_batch

router = APIRouter()

ADDRESS = "/{slug}/{layer}/{index}"
ACTIVE = ("queued", "running")


class FlagForm(BaseModel):
    """What a person sends to open a flag."""

    explanation_id: int = Field(ge=1, le=BIGGEST_ID)
    reason: str = Field(max_length=40)
    note: str = ""


@dataclass(frozen=True, slots=True)
class MethodChoice:
    """A method that a person may queue."""

    id: int
    label: str


@dataclass(frozen=True, slots=True)
class NeuronCandidates:
    """The explanation that is shown, its scores, and all others."""

    address: str
    shown: CandidateRow | None
    headline: ScoreRow | None
    current_id: int | None
    percentile: float | None
    n_scored_in_layer: int
    layer: int
    candidates: tuple[CandidateRow, ...]
    is_out_of_band: bool = False


@dataclass(frozen=True, slots=True)
class NeuronCounts:
    """What the top of a neuron's page counts."""

    n_explanations: int
    n_open_flags: int
    n_active_runs: int


@dataclass(frozen=True, slots=True)
class NeuronFlags:
    """Open flags, and what the form needs to open another."""

    address: str
    explanation_id: int | None
    open_flags: tuple[FlagShown, ...]
    reasons: tuple[FlagReason, ...]
    note_limit: int
    counts: NeuronCounts | None = None
    """As they stand now, where this part goes into a page that is open."""


@dataclass(frozen=True, slots=True)
class NeuronProgress:
    """The newest run of the neuron: none, active, or finished (then with the candidates it led to)."""

    address: str
    state: Literal["none", "active", "finished"]
    run: RunShown | None
    candidates: NeuronCandidates | None = None
    counts: NeuronCounts | None = None
    """As they stand now, where this part goes into a page that is open."""


@dataclass(frozen=True, slots=True)
class NeuronPage:
    """Everything about one neuron."""

    neuron: NeuronHead
    address: str
    previous: str | None
    next: str | None
    scale: float
    """The activation that heatmaps draw at full strength."""
    claim: NeuronCandidates
    flags: NeuronFlags
    progress: NeuronProgress
    methods: tuple[MethodChoice, ...]
    """What the viewer may queue with; empty for those who may not queue."""
    samples: tuple[SampleShown, ...]
    simulations: tuple[SimulationShown, ...]
    history: tuple[HistoryLine, ...]


async def vocabularies(request: Request) -> Vocabularies:
    """The process's vocabularies."""
    kept: Vocabularies = request.app.state.vocabularies
    return kept


@dataclass(frozen=True, slots=True)
class Place:
    """Where an address says that a neuron is."""

    slug: str
    layer: int
    index: int


async def place_of(slug: str, layer: int, index: int) -> Place:
    """The place in the address."""
    return Place(slug, layer, index)


def head_at(session: DbSession, place: Annotated[Place, Depends(place_of)]) -> NeuronHead:
    """The neuron of the address."""
    return neuron_head(session, slug=place.slug, layer=place.layer, index=place.index)


Head = Annotated[NeuronHead, Depends(head_at, scope="function")]


@page(router, ADDRESS, template="neuron/page.html")
def neuron(
    session: DbSession,
    viewer: CurrentViewer,
    place: Annotated[Place, Depends(place_of)],
    known: Annotated[Vocabularies, Depends(vocabularies)],
    explanation: Annotated[int | None, Query(ge=1, le=BIGGEST_ID, description="Show this candidate.")] = None,
) -> NeuronPage:
    """A neuron: claim, evidence, statistics, provenance, history."""
    head = head_at(session, place)
    parts = neuron_parts(session, head=head, explanation_id=explanation or head.current_explanation_id)
    claim = _claim(head, parts.candidates, explanation)
    flags = neuron_flags(session, neuron_id=head.id) if head.n_open_flags else ()
    samples, simulations, scale = _evidence(session, head, parts, known)
    return NeuronPage(
        neuron=head,
        address=claim.address,
        previous=_neighbour(head, -1),
        next=_neighbour(head, 1),
        scale=scale,
        claim=claim,
        flags=_flags(claim, flags),
        progress=_progress(claim.address, parts.runs[0] if parts.runs else None),
        methods=_choices(session) if viewer is not None and viewer.may(Action.QUEUE) else (),
        samples=samples,
        simulations=simulations,
        history=history_lines(parts.events, parts.candidates, parts.runs),
    )


@page(router, f"{ADDRESS}/progress", template="neuron/progress.html", partial="neuron/_progress.html")
def progress(
    session: DbSession, head: Head, run: Annotated[int | None, Query(ge=1, le=BIGGEST_ID)] = None
) -> NeuronProgress:
    """How far a run of this neuron is; once it has ended, the candidates as they stand then."""
    runs = neuron_runs(session, neuron_id=head.id)
    chosen = next((r for r in runs if run is None or r.id == run), None)
    if run is not None and chosen is None:
        raise NotFound("This neuron has no such run.")
    claim = _claim(head, neuron_candidates(session, neuron_id=head.id), None)
    shown = replace(_progress(claim.address, chosen), counts=_counts(head))
    if shown.state != "finished":
        return shown
    return replace(shown, candidates=replace(claim, is_out_of_band=True))


@router.post(f"{ADDRESS}/flags", include_in_schema=False)
def flag(
    session: DbSession,
    view: CurrentView,
    head: Head,
    viewer: Annotated[Viewer, Depends(allowed_to(Action.FLAG), scope="function")],
    form: Annotated[FlagForm, Form()],
) -> Response:
    """Open a flag against one of this neuron's explanations."""
    claim = _claim(head, neuron_candidates(session, neuron_id=head.id), form.explanation_id)
    open_flag(session, explanation_id=form.explanation_id, account_id=viewer.id, reason=form.reason, note=form.note)
    if view.wants_part:
        shown = _flags(claim, neuron_flags(session, neuron_id=head.id))
        return view.html("neuron/_flags.html", replace(shown, counts=_counts_now(session, head)))
    return RedirectResponse(f"{claim.address}?explanation={form.explanation_id}#_flags", status_code=303)


@router.post(f"{ADDRESS}/runs", include_in_schema=False)
def explain_again(
    session: DbSession,
    view: CurrentView,
    settings: AppSettings,
    head: Head,
    viewer: Annotated[Viewer, Depends(allowed_to(Action.QUEUE), scope="function")],
    method_id: Annotated[int, Form(ge=1, le=BIGGEST_ID)],
) -> Response:
    """Queue this neuron for a method."""
    enqueue_batch(
        session,
        subject_id=head.subject_id,
        neuron_ids=[head.id],
        method_id=method_id,
        account_id=viewer.id,
        limit=settings.batch_limit,
    )
    if view.wants_part:
        return view.html("neuron/_progress.html", queued_run(session, head))
    return RedirectResponse(f"{_address(head)}#_progress", status_code=303)


def queued_run(session: Session, head: NeuronHead) -> NeuronProgress:
    """The part of an open page that follows the run that was just queued."""
    shown = _progress(_address(head), neuron_runs(session, neuron_id=head.id)[0])
    return replace(shown, counts=_counts_now(session, head))


def _claim(head: NeuronHead, candidates: Sequence[CandidateRow], wanted: int | None) -> NeuronCandidates:
    chosen = wanted if wanted is not None else head.current_explanation_id
    shown = next((c for c in candidates if c.id == chosen), None)
    if wanted is not None and shown is None:
        raise NotFound("This neuron has no such explanation.")
    return NeuronCandidates(
        address=_address(head),
        shown=shown,
        headline=shown.headline if shown is not None else None,
        current_id=head.current_explanation_id,
        percentile=head.percentile,
        n_scored_in_layer=head.n_scored_in_layer,
        layer=head.layer,
        candidates=tuple(sorted(candidates, key=_by_score)),
    )


def _by_score(candidate: CandidateRow) -> tuple[bool, float]:
    score = candidate.headline.value if candidate.headline is not None else None
    return score is None, -(score or 0.0)


def _flags(claim: NeuronCandidates, flags: Sequence[FlagShown]) -> NeuronFlags:
    return NeuronFlags(
        address=claim.address,
        explanation_id=claim.shown.id if claim.shown is not None else None,
        open_flags=tuple(f for f in flags if f.verdict is None),
        reasons=tuple(FlagReason),
        note_limit=NOTE_LIMIT,
    )


def _counts(head: NeuronHead) -> NeuronCounts:
    return NeuronCounts(head.n_explanations, head.n_open_flags, head.n_active_runs)


def _counts_now(session: Session, head: NeuronHead) -> NeuronCounts:
    return _counts(neuron_head(session, slug=head.slug, layer=head.layer, index=head.index))


def _choices(session: Session) -> tuple[MethodChoice, ...]:
    return tuple(MethodChoice(m.id, m.label) for m in methods(session))


def _address(head: NeuronHead) -> str:
    return f"/{head.slug}/{head.layer}/{head.index}"


def _progress(address: str, run: RunShown | None) -> NeuronProgress:
    if run is None:
        return NeuronProgress(address, "none", None)
    return NeuronProgress(address, "active" if run.status in ACTIVE else "finished", run)


def _neighbour(head: NeuronHead, step: int) -> str | None:
    layer, index = divmod(head.layer * head.neurons_per_layer + head.index + step, head.neurons_per_layer)
    return f"/{head.slug}/{layer}/{index}" if 0 <= layer < head.n_layers else None


def _evidence(
    session: Session, head: NeuronHead, parts: NeuronParts, known: Vocabularies
) -> tuple[tuple[SampleShown, ...], tuple[SimulationShown, ...], float]:
    current, samples, simulations = parts.samples, parts.samples, parts.simulations
    earlier = {s.collection_id for s in simulations if s.collection_id not in (None, head.collection_id)}
    if earlier:  # simulated before the subject was collected anew
        samples += neuron_samples(session, neuron_id=head.id, collection_ids=earlier)
    ids = {i for s in samples for i in s.excerpt_ids} | {i for s in simulations for i in s.excerpt_ids}
    excerpts = stored_excerpts(session, excerpt_ids=ids)
    biggest = max((max(e.token_ids, default=0) for e in excerpts.values()), default=0)
    words = known.get(session, tokenizer_id=head.tokenizer_id, biggest_token=biggest)
    scale = heat_scale(head.statistics.max, head.statistics.min)
    evidence = Evidence(excerpts, words, scale)
    return shown_samples(evidence, current), shown_simulations(evidence, samples, simulations), scale
