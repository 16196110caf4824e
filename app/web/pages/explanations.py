"""One explanation with its provenance; single calls to language models; the bill."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, get_args

from fastapi import Form
from fastapi.responses import RedirectResponse, Response

from app.domain.bounds import BIGGEST_ID
from app.domain.roles import Permission
from app.errors import Invalid
from app.queries.explanations.page import CallShown, ExplanationShown, call_shown, explanation_shown
from app.queries.language_models.bill import BillBy, BillLine, bill
from app.queries.neurons.head import neuron_head
from app.web.deps import CurrentViewer, DbSession, IdInPath, MayQueue, MayReadOperations
from app.web.http.routing import PageRouter
from app.web.neuron.address import path_of
from app.web.neuron.claim import queued_run
from app.web.provenance.citation import Citation
from app.web.provenance.curl import as_curl
from app.web.provenance.facts import Fact, provenance_facts
from app.web.rendering.templating import CurrentView, page
from app.work.enqueue import enqueue_batch, enqueue_scoring

router = PageRouter()

BILL_DAYS = 30


@dataclass(frozen=True, slots=True)
class ExplanationsPage:
    """An explanation and everything that produced it."""

    explanation: ExplanationShown
    facts: tuple[Fact, ...]
    """What produced it, line by line."""
    citation: Citation

    @property
    def price(self) -> float | None:
        """What the calls of its run have cost together."""
        prices = [c.price for c in self.explanation.calls if c.price is not None]
        return sum(prices) if prices else None

    @property
    def is_price_estimated(self) -> bool:
        """Whether a part of ``price`` is our estimate."""
        return any(c.is_estimated and c.price for c in self.explanation.calls)


@dataclass(frozen=True, slots=True)
class ExplanationsCall:
    """One request to a language model and its reply."""

    call: CallShown
    curl: str | None


@dataclass(frozen=True, slots=True)
class ExplanationsBill:
    """What language models have cost since a day."""

    by: BillBy
    ways: tuple[BillBy, ...]
    since: date
    total: float
    n_calls: int
    lines: tuple[BillLine, ...]


@page(router, "/explanations/{explanation_id}", template="explanations/page.html", is_kept=True)
def explanation(session: DbSession, viewer: CurrentViewer, explanation_id: IdInPath) -> ExplanationsPage:
    """An explanation with its scores, its provenance and, for those with an account, the calls of its run."""
    shown = explanation_shown(session, explanation_id=explanation_id)
    may_read_calls = viewer is not None and viewer.may(Permission.READ_OPERATIONS)
    row, neuron = shown.row, f"{shown.subject} {shown.layer}/{shown.index}"
    return ExplanationsPage(
        shown if may_read_calls else replace(shown, calls=()),
        facts=provenance_facts(row.provenance, neuron=f"/{shown.subject}/{shown.layer}/{shown.index}"),
        citation=Citation(row.id, row.text, row.by, neuron, row.created_at),
    )


@router.post("/explanations/{explanation_id}/replay", include_in_schema=False)
def replay(
    session: DbSession,
    viewer: MayQueue,
    explanation_id: IdInPath,
) -> Response:
    """Queue the neuron again with the same version of the method that made this explanation."""
    shown = explanation_shown(session, explanation_id=explanation_id)
    if shown.method_id is None:
        raise Invalid("No method made this explanation, so there is nothing to run again.")
    enqueue_batch(
        session,
        subject_id=shown.subject_id,
        neuron_ids=[shown.neuron_id],
        method_id=shown.method_id,
        account_id=viewer.id,
    )
    return RedirectResponse(f"/explanations/{explanation_id}#replay", status_code=303)


@router.post("/explanations/{explanation_id}/score", include_in_schema=False)
def score(
    session: DbSession,
    view: CurrentView,
    viewer: MayQueue,
    explanation_id: IdInPath,
    method_id: Annotated[int, Form(ge=1, le=BIGGEST_ID)],
) -> Response:
    """Queue an explanation, whoever made it, to be simulated and scored by a method."""
    shown = explanation_shown(session, explanation_id=explanation_id)
    enqueue_scoring(session, explanation_id=explanation_id, method_id=method_id, account_id=viewer.id)
    head = neuron_head(session, slug=shown.subject, layer=shown.layer, index=shown.index)
    if view.wants_part:
        return view.html("neuron/_progress.html", queued_run(session, head))
    return RedirectResponse(f"{path_of(head)}?explanation={explanation_id}#_progress", status_code=303)


@page(router, "/calls/{call_id}", template="explanations/call.html")
def call(session: DbSession, _viewer: MayReadOperations, call_id: IdInPath) -> ExplanationsCall:
    """One call as it went over the wire."""
    shown = call_shown(session, call_id=call_id)
    curl = None if shown.base_url is None else as_curl(shown.base_url, shown.request, shown.key_variable)
    return ExplanationsCall(shown, curl)


@page(router, "/bill", template="explanations/bill.html")
def bill_page(
    session: DbSession, _viewer: MayReadOperations, *, by: BillBy = "day", since: date | None = None
) -> ExplanationsBill:
    """The calls of the last 30 days, or since a day, summed up by day, provider, method or person."""
    first = since or datetime.now(UTC).date() - timedelta(days=BILL_DAYS)
    lines = tuple(bill(session, by=by, since=first))
    total, n_calls = sum(line.price for line in lines), sum(line.calls for line in lines)
    return ExplanationsBill(by, get_args(BillBy), first, total, n_calls, lines)
