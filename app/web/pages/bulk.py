"""Many explanations at once: flagged, or added to a campaign. The number is confirmed, and one undo takes all back."""

from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Depends, Form, Query
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from app.domain.bounds import BIGGEST_ID, LONGEST_FIELD, LONGEST_FILTERS, LONGEST_NOTE
from app.domain.flags import FlagReason
from app.domain.review import CampaignState, ItemSource
from app.domain.roles import Permission
from app.errors import Conflict, Invalid
from app.queries.review.campaigns import CampaignRow, campaign_rows
from app.queries.review.flags import open_flags, withdraw_flags
from app.queries.review.items import (
    DrawShown,
    ItemsWanted,
    add_items,
    current_explanations,
    draw_shown,
    withdraw_items,
)
from app.queries.subjects.lookup import SubjectHead, subject_head
from app.web.deps import DbSession, IdInPath, MayManageCampaigns
from app.web.http.routing import PageRouter
from app.web.listing.filters import kept_filters
from app.web.listing.selection import Selection, asked_selection
from app.web.rendering.templating import CurrentView, View, page

router = PageRouter()


@dataclass(frozen=True, slots=True)
class BulkPage:
    """The chosen explanations, and what may be done to all of them."""

    subject: SubjectHead
    back: str
    neuron_ids: tuple[int, ...]
    filters: str
    n_explanations: int
    """Neurons without an explanation are left out."""
    reasons: tuple[FlagReason, ...]
    campaigns: tuple[CampaignRow, ...]
    """The open campaigns of the subject."""
    has_changed: bool = False


@dataclass(frozen=True, slots=True)
class BulkDone:
    """What was done, and how it is undone."""

    draw: DrawShown


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What a person has confirmed: these neurons, and the number of their explanations."""

    selection: Selection
    n_explanations: int


async def sent_selection(
    n_explanations: Annotated[int, Form()],
    filters: Annotated[str, Form(max_length=LONGEST_FILTERS)] = "",
    neuron: Annotated[list[int] | None, Form()] = None,
) -> Confirmed:
    """The neurons that the confirmed form repeats."""
    return Confirmed(Selection(tuple(neuron or ()), kept_filters(filters)), n_explanations)


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with all of them."""

    reason: str
    note: str


async def sent_complaint(
    reason: Annotated[str, Form(max_length=LONGEST_FIELD)] = "",
    note: Annotated[str, Form(max_length=LONGEST_NOTE)] = "",
) -> Complaint:
    """The fields of the form that flags."""
    return Complaint(reason, note)


Sent = Annotated[Confirmed, Depends(sent_selection)]


@page(router, "/{slug}/bulk", template="bulk/page.html")
def bulk(
    session: DbSession,
    slug: str,
    selection: Annotated[Selection, Depends(asked_selection)],
    _viewer: MayManageCampaigns,
    method: Annotated[str, Query(max_length=LONGEST_FIELD, description="Of the list's form; not used here.")] = "",
) -> BulkPage:
    """How many explanations are chosen, and what may be done to them."""
    head = subject_head(session, slug=slug)
    return _shown(session, head, selection, _chosen(session, head, selection))


@router.post("/{slug}/bulk/flag", include_in_schema=False)
def flag(
    session: DbSession,
    view: CurrentView,
    viewer: MayManageCampaigns,
    slug: str,
    sent: Sent,
    complaint: Annotated[Complaint, Depends(sent_complaint)],
) -> Response:
    """Flag the explanations, if they are as many as the person was shown."""
    head = subject_head(session, slug=slug)
    ids = _chosen(session, head, sent.selection)
    if len(ids) != sent.n_explanations:
        return _changed(session, view, head, sent.selection, ids)
    draw_id, _ = open_flags(
        session,
        explanation_ids=ids,
        subject_id=head.id,
        account_id=viewer.id,
        reason=complaint.reason,
        note=complaint.note,
    )
    return RedirectResponse(f"/draws/{draw_id}", status_code=303)


@router.post("/{slug}/bulk/campaign", include_in_schema=False)
def add(
    session: DbSession,
    view: CurrentView,
    viewer: MayManageCampaigns,
    slug: str,
    sent: Sent,
    campaign_id: Annotated[int, Form(ge=1, le=BIGGEST_ID)],
) -> Response:
    """Add the explanations to a campaign, if they are as many as the person was shown."""
    head = subject_head(session, slug=slug)
    ids = _chosen(session, head, sent.selection)
    if len(ids) != sent.n_explanations:
        return _changed(session, view, head, sent.selection, ids)
    parameters = {"filters": sent.selection.request.fields.query().removeprefix("?")}
    doubt = None if sent.selection.neuron_ids else sent.selection.request.filter.doubt
    wanted = ItemsWanted(ItemSource.FILTER if doubt is None else ItemSource.DOUBT, ids, parameters)
    added = add_items(session, campaign_id=campaign_id, wanted=wanted, account_id=viewer.id)
    return RedirectResponse(f"/draws/{added.draw_id}", status_code=303)


@page(router, "/draws/{draw_id}", template="bulk/done.html")
def done(session: DbSession, _viewer: MayManageCampaigns, draw_id: IdInPath) -> BulkDone:
    """Items that were added together."""
    return BulkDone(draw_shown(session, draw_id=draw_id))


@router.post("/draws/{draw_id}/withdraw", include_in_schema=False)
def withdraw(session: DbSession, viewer: MayManageCampaigns, draw_id: IdInPath) -> Response:
    """Take out again what was added together and was not judged."""
    shown = draw_shown(session, draw_id=draw_id)
    if shown.account_id != viewer.id and not viewer.may(Permission.ADJUDICATE):
        raise Conflict("Only the person who added these items, or an adjudicator, can remove them.")
    undo = withdraw_flags if shown.source is ItemSource.FLAG else withdraw_items
    undo(session, draw_id=draw_id, account_id=viewer.id)
    return RedirectResponse(f"/draws/{draw_id}", status_code=303)


def _chosen(session: Session, subject: SubjectHead, selection: Selection) -> list[int]:
    ids = current_explanations(session, neurons=selection.of(subject))
    if not ids:
        raise Invalid("None of the chosen neurons has an explanation. Choose others.")
    return ids


def _shown(session: Session, subject: SubjectHead, selection: Selection, ids: list[int]) -> BulkPage:
    filters = selection.request.fields.query().removeprefix("?")
    return BulkPage(
        subject=subject,
        back=f"/{subject.slug}?{filters}" if filters else f"/{subject.slug}",
        neuron_ids=tuple(sorted(set(selection.neuron_ids))),
        filters=filters,
        n_explanations=len(ids),
        reasons=tuple(FlagReason),
        campaigns=tuple(
            row
            for row in campaign_rows(session)
            if row.subject_id == subject.id and row.state is CampaignState.OPEN and not row.is_standing
        ),
    )


def _changed(session: Session, view: View, subject: SubjectHead, selection: Selection, ids: list[int]) -> Response:
    shown = _shown(session, subject, selection, ids)
    return view.html("bulk/page.html", replace(shown, has_changed=True), status=409)
