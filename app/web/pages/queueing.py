"""Chosen neurons are queued with a method, once a person has confirmed their number."""

from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Depends, Form, Query
from fastapi.responses import Response
from sqlalchemy.orm import Session

from app.domain.bounds import BIGGEST_ID, LONGEST_FIELD, LONGEST_FILTERS
from app.domain.costs import CostEstimate
from app.errors import Invalid, NotFound
from app.queries.common.inputs import price_of
from app.queries.language_models.calls import cap_batch
from app.queries.language_models.estimates import batch_estimate
from app.queries.neurons.selection import count_selected, n_with_active_run
from app.queries.subjects.lookup import SubjectHead, subject_head
from app.settings import Settings
from app.web.deps import AppSettings, DbSession, MayQueue
from app.web.http.routing import PageRouter
from app.web.listing.filters import kept_filters
from app.web.listing.selection import Selection, asked_selection
from app.web.neuron.choices import MethodChoice, method_choices
from app.web.rendering.templating import CurrentView, page
from app.work.enqueue import enqueue_selection

router = PageRouter()


@dataclass(frozen=True, slots=True)
class SubjectQueue:
    """What is about to be queued, to be confirmed."""

    subject: SubjectHead
    address: str
    back: str
    method: MethodChoice
    neuron_ids: tuple[int, ...]
    """The neurons that were chosen one by one; empty where all that match are chosen."""
    filters: str
    """The active filters as a query string."""
    n_neurons: int
    n_active: int
    """Neurons that are queued or running with this method already, and will be skipped."""
    estimate: CostEstimate | None
    """What those that are not skipped will need of the language model; None for a method that calls none."""
    has_changed: bool = False
    """Whether other neurons match now than when the number was shown."""
    price_cap: float | None = None
    """What a person has typed before."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What a person has confirmed: these neurons, this method, this number."""

    selection: Selection
    method_id: int
    n_neurons: int
    price_cap: float | None
    """Most that the batch's calls to language models may cost; None for no cap."""


async def sent_selection(
    method_id: Annotated[int, Form(ge=1, le=BIGGEST_ID)],
    n_neurons: Annotated[int, Form()],
    filters: Annotated[str, Form(max_length=LONGEST_FILTERS)] = "",
    neuron: Annotated[list[int] | None, Form()] = None,
    price_cap: Annotated[str, Form(max_length=LONGEST_FIELD)] = "",
) -> Confirmed:
    """The neurons that the confirmed form repeats, and the cap it sets."""
    cap = price_of(price_cap, what="price cap")
    return Confirmed(Selection(tuple(neuron or ()), kept_filters(filters)), method_id, n_neurons, cap)


@page(router, "/{slug}/queue", template="subject/queue.html")
def queue(
    session: DbSession,
    settings: AppSettings,
    slug: str,
    selection: Annotated[Selection, Depends(asked_selection)],
    method: Annotated[int, Query(ge=1, le=BIGGEST_ID)],
    _viewer: MayQueue,
) -> SubjectQueue:
    """How many neurons are about to be queued with a method."""
    head = subject_head(session, slug=slug)
    return _confirmation(session, head, selection, method, _n_selected(session, head, selection, settings))


@router.post("/{slug}/queue", include_in_schema=False)
def enqueue(
    session: DbSession,
    settings: AppSettings,
    view: CurrentView,
    viewer: MayQueue,
    slug: str,
    sent: Annotated[Confirmed, Depends(sent_selection)],
) -> Response:
    """Queue the neurons, if they are as many as the person was shown."""
    head = subject_head(session, slug=slug)
    n_neurons = _n_selected(session, head, sent.selection, settings)
    if n_neurons != sent.n_neurons:
        shown = _confirmation(session, head, sent.selection, sent.method_id, n_neurons, has_changed=True)
        return view.html("subject/queue.html", replace(shown, price_cap=sent.price_cap), status=409)
    batch = enqueue_selection(
        session,
        selection=sent.selection.of(head),
        method_id=sent.method_id,
        account_id=viewer.id,
        limit=settings.batch_limit,
        filters=sent.selection.request.fields.query().removeprefix("?"),
    )
    if sent.price_cap is not None:
        cap_batch(session, batch_id=batch.batch_id, price_cap=sent.price_cap)
    return view.moved(
        f"/batches/{batch.batch_id}",
        told="Queued one run." if batch.n_queued == 1 else f"Queued {batch.n_queued:,} runs.",
    )


def _n_selected(session: Session, subject: SubjectHead, selection: Selection, settings: Settings) -> int:
    n = count_selected(session, selection=selection.of(subject))
    if n == 0:
        raise Invalid("No neuron matches these filters, so there is nothing to queue. Change the filters.")
    if n > settings.batch_limit:
        limit = f"{settings.batch_limit:,}"
        raise Invalid(f"{n:,} neurons match. Narrow the filters: one batch may hold {limit}.")
    return n


def _confirmation(
    session: Session,
    subject: SubjectHead,
    selection: Selection,
    method_id: int,
    n_neurons: int,
    *,
    has_changed: bool = False,
) -> SubjectQueue:
    method = next((m for m in method_choices(session) if m.id == method_id), None)
    if method is None:
        raise NotFound("There is no such method. Choose one in the list of neurons.")
    filters = selection.request.fields.query().removeprefix("?")
    address = f"/{subject.slug}"
    n_active = n_with_active_run(session, selection=selection.of(subject), method_id=method_id)
    return SubjectQueue(
        subject=subject,
        address=f"{address}/queue",
        back=f"{address}?{filters}" if filters else address,
        method=method,
        neuron_ids=tuple(sorted(set(selection.neuron_ids))),
        filters=filters,
        n_neurons=n_neurons,
        n_active=n_active,
        estimate=batch_estimate(session, method_id=method_id, subject_id=subject.id, n_neurons=n_neurons - n_active),
        has_changed=has_changed,
    )
