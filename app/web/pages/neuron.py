"""A neuron's page: what is claimed about it, and the evidence."""

from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import parse_qsl, urlencode

from fastapi import Depends, Form, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from app.domain.bounds import BIGGEST_ID, LONGEST_ADDRESS, LONGEST_FIELD, MOST_IDS_IN_ADDRESS
from app.domain.roles import Permission
from app.domain.samples import SampleKind, populations
from app.errors import NotFound
from app.queries.neurons.claims import neuron_explanations, neuron_flags, neuron_runs
from app.queries.neurons.head import NeuronHead
from app.queries.neurons.page import NeuronParts, neuron_parts
from app.queries.people.accounts import Viewer
from app.queries.review.flags import open_flag
from app.web.deps import AppSettings, CurrentViewer, DbSession, IdInQuery, RequestedEmbed, allowed_to
from app.web.heat.vocabularies import Vocabularies
from app.web.http.routing import PageRouter
from app.web.http.visits import Visit
from app.web.neuron.address import ROUTE, Head, RequestedAddress, path_of, requested_head
from app.web.neuron.checks import CheckShown, shown_check
from app.web.neuron.choices import MethodChoice, choices_of, may_queue
from app.web.neuron.claim import (
    NeuronClaim,
    NeuronFlags,
    NeuronProgress,
    claim_of,
    counts_now,
    counts_of,
    flags_of,
    progress_of,
    queued_run,
)
from app.web.neuron.differences import DifferenceGroup, Show, difference_groups
from app.web.neuron.evidence import KnownVocabularies, SampleShown, shown_samples, source_of
from app.web.neuron.history import HistoryLine, history_lines
from app.web.neuron.simulations import SimulationShown, shown_simulations
from app.web.neuron.tokens import TokenShown, shown_tokens
from app.web.neuron.trail import AskedList, Trail, going_on, path_in_list, trail_of
from app.web.rendering.addresses import local_path
from app.web.rendering.templating import CurrentView, page
from app.work.enqueue import enqueue_batch

router = PageRouter()


class FlagForm(BaseModel):
    """What a person sends to open a flag."""

    explanation_id: int = Field(ge=1, le=BIGGEST_ID)
    reason: str = Field(max_length=LONGEST_FIELD)
    note: str = ""
    go_on: str = Field(default="", max_length=LONGEST_ADDRESS)
    """The neuron to go to next, with its list; nothing to stay."""


@dataclass(frozen=True, slots=True)
class ShownRows:
    """Which rows the evidence of the page shows, as its address says."""

    show: Show
    more: tuple[str, ...]
    """The sections that are shown whole."""
    explanation: int | None
    listed: str = ""
    """The list that the page was opened from, as its address names it."""

    def query(self, *, show: Show | None = None, more: str | None = None) -> str:
        """The page's query string with another choice, or with one more section whole."""
        chosen = self.show if show is None else show
        pairs: list[tuple[str, object]] = [*parse_qsl(self.listed.removeprefix("?"))]
        pairs += [] if self.explanation is None else [("explanation", self.explanation)]
        pairs += [] if chosen is Show.REAL else [("show", chosen.value)]
        if chosen is self.show:
            pairs += [("more", key) for key in (*self.more, *([] if more is None else [more]))]
        return f"?{urlencode(pairs)}" if pairs else ""

    @property
    def choices(self) -> tuple[Show, ...]:
        """What the rows may show."""
        return tuple(Show)


@dataclass(frozen=True, slots=True)
class NeuronPage:
    """Everything about one neuron."""

    neuron: NeuronHead
    address: str
    trail: Trail
    scale: float
    """The activation that heatmaps draw at full strength."""
    claim: NeuronClaim
    flags: NeuronFlags
    progress: NeuronProgress
    methods: tuple[MethodChoice, ...]
    """What the viewer may queue with; empty for those who may not queue."""
    samples: tuple[SampleShown, ...]
    n_alike: int
    """How many of the 20 excerpts with the highest peaks are near-copies of others."""
    tokens: tuple[TokenShown, ...]
    """The tokens with the highest mean activation over the corpus."""
    check: CheckShown | None
    """The explanation executed over the whole corpus; None where that has not been done."""
    simulations: tuple[SimulationShown, ...]
    history: tuple[HistoryLine, ...]
    shown: ShownRows
    groups: tuple[DifferenceGroup, ...]
    """Rows of real and expected activations, where the address asks for them."""
    is_embedded: bool
    """Whether it is shown in another site's frame: without what a person does here."""


async def shown_rows(
    explanation: Annotated[int | None, Query(ge=1, le=BIGGEST_ID, description="Show this explanation.")] = None,
    show: Annotated[Show, Query(description="What the rows of the page show")] = Show.REAL,
    more: Annotated[
        list[Annotated[str, Field(max_length=LONGEST_FIELD)]] | None,
        Query(description="Sections that the page shows whole.", max_length=MOST_IDS_IN_ADDRESS),
    ] = None,
) -> ShownRows:
    """What the address of the page asks to be shown."""
    return ShownRows(show, tuple(dict.fromkeys(more or ())), explanation)


@page(router, ROUTE, template="neuron/page.html", partial="neuron/_evidence.html", is_kept=True)
def neuron(  # noqa: PLR0913, PLR0917 - FastAPI reads a route's inputs from its arguments
    session: DbSession,
    viewer: CurrentViewer,
    address: RequestedAddress,
    known: KnownVocabularies,
    view: CurrentView,
    settings: AppSettings,
    listed: AskedList,
    rows: Annotated[ShownRows, Depends(shown_rows)],
    is_embedded: RequestedEmbed,
    flagging: Annotated[bool, Query(description="Open the form that flags, and stay in it.")] = False,
) -> NeuronPage:
    """A neuron: claim, evidence, statistics, provenance, history."""
    explanation = rows.explanation
    head = requested_head(session, address)
    if not is_embedded:
        view.remember(Visit(head.slug, head.layer, head.index))
    trail = trail_of(session, head, listed, settings=settings, flagging=flagging)
    parts = neuron_parts(
        session,
        head=head,
        explanation_id=explanation or head.current_explanation_id,
        with_methods=may_queue(viewer),
    )
    if head.n_active_runs:
        view.changes_by_itself()
    claim = claim_of(head, parts.explanations, explanation)
    evidence = _shown_evidence(session, head, parts, known, rows)
    return NeuronPage(
        neuron=head,
        address=claim.address,
        trail=trail,
        scale=evidence.scale,
        claim=claim,
        flags=flags_of(claim, parts.flags, trail, is_open=flagging),
        progress=progress_of(claim.address, parts.runs[0] if parts.runs else None),
        methods=choices_of(parts.methods),
        samples=evidence.samples,
        n_alike=evidence.n_alike,
        tokens=evidence.tokens,
        check=evidence.check,
        simulations=evidence.simulations,
        history=history_lines(parts.events, parts.explanations, parts.runs),
        shown=replace(rows, listed=trail.query),
        groups=evidence.groups,
        is_embedded=is_embedded,
    )


@page(router, f"{ROUTE}/progress", template="neuron/progress.html", partial="neuron/_progress.html")
def progress(session: DbSession, head: Head, run: IdInQuery = None) -> NeuronProgress:
    """How far a run of this neuron is; once it has ended, the claim as it is then."""
    runs = neuron_runs(session, neuron_id=head.id)
    chosen = next((r for r in runs if run is None or r.id == run), None)
    if run is not None and chosen is None:
        raise NotFound("This neuron has no such run.")
    claim = claim_of(head, neuron_explanations(session, neuron_id=head.id), None)
    shown = replace(progress_of(claim.address, chosen), counts=counts_of(head))
    if shown.state != "finished":
        return shown
    return replace(shown, claim=replace(claim, is_out_of_band=True))


@router.post(f"{ROUTE}/flags", include_in_schema=False)
def flag(  # noqa: PLR0913, PLR0917 - FastAPI reads a route's inputs from its arguments
    session: DbSession,
    view: CurrentView,
    head: Head,
    listed: AskedList,
    settings: AppSettings,
    viewer: Annotated[Viewer, Depends(allowed_to(Permission.FLAG), scope="function")],
    form: Annotated[FlagForm, Form()],
) -> Response:
    """Open a flag against one of this neuron's explanations, and lead to the next neuron if the form says so."""
    claim = claim_of(head, neuron_explanations(session, neuron_id=head.id), form.explanation_id)
    open_flag(session, explanation_id=form.explanation_id, account_id=viewer.id, reason=form.reason, note=form.note)
    if form.go_on:
        return view.moved(going_on(local_path(form.go_on), flagging=True), told=f"Flagged {head.layer}/{head.index}.")
    if view.wants_part:
        trail = trail_of(session, head, listed, settings=settings)
        shown = flags_of(claim, neuron_flags(session, neuron_id=head.id), trail, is_open=True)
        return view.html("neuron/_flags.html", replace(shown, counts=counts_now(session, head), told="Flagged."))
    back = path_in_list(head, listed)
    address = f"{back}{'&' if '?' in back else '?'}explanation={form.explanation_id}#open-flags"
    return view.moved(address, told="Flagged.")


@router.post(f"{ROUTE}/runs", include_in_schema=False)
def explain_again(
    session: DbSession,
    view: CurrentView,
    settings: AppSettings,
    head: Head,
    viewer: Annotated[Viewer, Depends(allowed_to(Permission.QUEUE), scope="function")],
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
    return view.moved(f"{path_of(head)}#_progress", told="Queued.")


@dataclass(frozen=True, slots=True)
class _ShownEvidence:
    samples: tuple[SampleShown, ...]
    n_alike: int
    tokens: tuple[TokenShown, ...]
    check: CheckShown | None
    simulations: tuple[SimulationShown, ...]
    groups: tuple[DifferenceGroup, ...]
    scale: float


def _shown_evidence(
    session: Session, head: NeuronHead, parts: NeuronParts, known: Vocabularies, rows: ShownRows
) -> _ShownEvidence:
    samples, simulations, facts = (*parts.samples, *parts.earlier_samples), parts.simulations, parts.facts
    source = source_of(session, known, head=head, samples=samples, excerpts=parts.excerpts, check=parts.check)
    sizes, n_alike, tokens = (None, 0, ()) if facts is None else (facts.stratum_sizes, facts.n_alike, facts.tokens)
    check = shown_check(source, parts.check, head.collection_id)
    simulated = shown_simulations(source, samples, simulations)
    return _ShownEvidence(
        samples=shown_samples(source, parts.samples, populations(sizes), _whole_samples(rows)),
        n_alike=n_alike or 0,
        tokens=shown_tokens(source, head.slug, tokens),
        check=check,
        simulations=simulated,
        groups=difference_groups(source, rows.show, simulated, check, rows.more),
        scale=source.scale,
    )


def _whole_samples(rows: ShownRows) -> frozenset[SampleKind]:
    return frozenset(kind for kind in SampleKind if kind in rows.more)
