"""Reviewing: an item is taken, its evidence read, a verdict given, and the next item is there."""

import uuid
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Form, Query
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field

from app.domain.bounds import BIGGEST_ID, LONGEST_FIELD, LONGEST_NOTE
from app.domain.flags import FlagReason
from app.domain.review import FLAG_KINDS, REJECTING, Confidence, VerdictKind
from app.domain.roles import Permission
from app.errors import Conflict, Forbidden, Invalid
from app.queries.explanations.headlines import ShownStanding, standings_of
from app.queries.people.accounts import Viewer
from app.queries.review.flags import open_flag
from app.queries.review.judging import Judgement, give_verdict, send_back, stored_verdict, undo_verdict
from app.queries.review.own import OwnVerdict, own_verdicts
from app.queries.review.settling import Judged
from app.queries.review.shown import ItemTold, VerdictShown, item_shown, item_verdicts
from app.queries.review.taking import (
    LeaseExpired,
    TakenSlot,
    held_slot,
    item_of_slot,
    keep_guess,
    renew,
    skip,
    take_item,
    take_next,
)
from app.web.deps import AppSettings, DbSession, IdInPath, MayReview, allowed_to
from app.web.http.routing import PageRouter
from app.web.neuron.choices import MethodChoice, choices_for
from app.web.rendering.templating import page
from app.web.review.desk import AtDesk, Desk, ReviewItem, Typed, after_for, done_for, item_for

router = PageRouter()

Token = Annotated[uuid.UUID, Form()]


@dataclass(frozen=True, slots=True)
class ReviewExpired:
    """A verdict that came too late, with all that was typed."""

    item_id: int
    campaign_id: int
    message: str
    typed: Typed
    stored: VerdictKind | None
    """The verdict that the reviewer has given before, in another window perhaps."""


@dataclass(frozen=True, slots=True)
class ReviewVerdicts:
    """A reviewer's own verdicts."""

    rows: tuple[OwnVerdict, ...]
    previous: str | None
    next: str | None


@dataclass(frozen=True, slots=True)
class ReviewResult:
    """An item after one's own verdict: what others said, and what it came to."""

    item: ItemTold
    verdicts: tuple[VerdictShown, ...]
    address: str | None
    """The address of the neuron's page; None while it would reveal what is hidden from reviewers."""
    methods: tuple[MethodChoice, ...]
    """With which the viewer may queue the neuron again, where the explanation was rejected."""
    standing: ShownStanding | None
    """What scores say of the explanation, once that reveals nothing that is hidden; None for a planted text."""


class VerdictForm(BaseModel):
    """What a reviewer sends."""

    lease_token: uuid.UUID
    kind: str = Field(default="", max_length=LONGEST_FIELD)
    confidence: str = Field(default=Confidence.MEDIUM, max_length=LONGEST_FIELD)
    note: str = Field(default="", max_length=LONGEST_NOTE)
    flag: str = Field(default="", max_length=LONGEST_FIELD)

    @property
    def typed(self) -> Typed:
        """What to show again. Raises Invalid for unknown words."""
        if not self.kind:
            return Typed(None, Confidence(self.confidence), self.note)
        checked = Judgement(self.kind, self.confidence, self.note)
        return Typed(VerdictKind(checked.kind), Confidence(checked.confidence), self.note)


@router.post("/campaigns/{campaign_id}/next", include_in_schema=False)
def next_item(
    at: AtDesk,
    campaign_id: IdInPath,
    besides: Annotated[int | None, Query(ge=1, le=BIGGEST_ID, description="A held slot that is not meant.")] = None,
) -> Response:
    """Take the next item; with ``besides`` the one after it, ahead of time."""
    slot = take_next(at.session, campaign_id=campaign_id, reviewer=at.reviewer, besides=besides)
    return _shown_next(at, campaign_id, slot)


@router.post("/items/{item_id}/take", include_in_schema=False)
def take(
    at: AtDesk,
    item_id: IdInPath,
    kind: Annotated[str, Form(max_length=LONGEST_FIELD)] = "",
    confidence: Annotated[str, Form(max_length=LONGEST_FIELD)] = Confidence.MEDIUM,
    note: Annotated[str, Form(max_length=LONGEST_NOTE)] = "",
) -> Response:
    """Take this very item, with what was typed before in its form."""
    slot = take_item(at.session, item_id=item_id, reviewer=at.reviewer)
    if not kind and not note:
        return RedirectResponse(f"/review/{slot.id}", status_code=303)
    sent = VerdictForm(lease_token=slot.lease_token, kind=kind, confidence=confidence, note=note)
    return at.view.html("review/item.html", item_for(at, slot, sent.typed))


@page(router, "/review/verdicts", template="review/verdicts.html")
def verdicts(
    session: DbSession,
    settings: AppSettings,
    viewer: MayReview,
    *,
    after: str | None = None,
    before: str | None = None,
) -> ReviewVerdicts:
    """One's own verdicts, newest first."""
    found = own_verdicts(
        session, account_id=viewer.id, size=settings.page_size, after=after or None, before=before or None
    )
    return ReviewVerdicts(
        found.rows,
        previous=f"/review/verdicts?before={found.previous}" if found.previous is not None else None,
        next=f"/review/verdicts?after={found.next}" if found.next is not None else None,
    )


@page(router, "/review/{slot_id}", template="review/item.html", partial="review/_item.html")
def review(at: AtDesk, slot_id: IdInPath) -> ReviewItem:
    """An item that the viewer holds."""
    slot = held_slot(at.session, slot_id=slot_id, reviewer=at.reviewer)
    if slot is None:
        raise Conflict("You do not hold this item, or no longer. Take the next one from the campaign's page.")
    return item_for(at, slot)


@router.post("/review/{slot_id}/guess", include_in_schema=False)
def guess(at: AtDesk, slot_id: IdInPath, lease_token: Token, guess: Annotated[str, Form()] = "") -> Response:
    """Keep the guess, and show the text."""
    keep_guess(at.session, slot_id=slot_id, lease_token=lease_token, reviewer=at.reviewer, guess=guess)
    slot = held_slot(at.session, slot_id=slot_id, reviewer=at.reviewer)
    if at.view.wants_part and slot is not None:
        return at.view.html("review/_item.html", item_for(at, slot))
    return RedirectResponse(f"/review/{slot_id}", status_code=303)


@router.post("/review/{slot_id}/skip", include_in_schema=False)
def put_off(at: AtDesk, slot_id: IdInPath, lease_token: Token) -> Response:
    """Give the item back unjudged, and take the next."""
    held = held_slot(at.session, slot_id=slot_id, reviewer=at.reviewer)
    if held is None:
        raise LeaseExpired
    skip(at.session, slot_id=slot_id, lease_token=lease_token, reviewer=at.reviewer)
    slot = take_next(at.session, campaign_id=held.campaign_id, reviewer=at.reviewer)
    return _shown_next(at, held.campaign_id, slot)


@router.post("/review/{slot_id}/renew", include_in_schema=False)
def keep(at: AtDesk, slot_id: IdInPath, lease_token: Token) -> Response:
    """Hold the item for five more minutes: its page is open."""
    renew(at.session, slot_id=slot_id, lease_token=lease_token, reviewer=at.reviewer)
    return Response(status_code=204)


@router.post("/review/{slot_id}/verdict", include_in_schema=False)
def verdict(
    at: AtDesk,
    slot_id: IdInPath,
    form: Annotated[VerdictForm, Form()],
    ahead: Annotated[int | None, Query(ge=1, le=BIGGEST_ID, description="The held slot that is shown already.")] = None,
) -> Response:
    """Judge the item, and show the next; where ``ahead`` is shown already, the one after it is taken ahead."""
    if not form.kind:
        raise Invalid("Choose a verdict: keys 1 to 8.")
    typed = form.typed
    judgement = Judgement(form.kind, form.confidence, form.note, {"flagged": True} if form.flag else {})
    try:
        judged = give_verdict(
            at.session, slot_id=slot_id, lease_token=form.lease_token, reviewer=at.reviewer, judgement=judgement
        )
    except LeaseExpired:
        stored = stored_verdict(at.session, slot_id=slot_id, account_id=at.viewer.id)
        if stored != judgement:
            return _too_late(at, slot_id, typed, stored)
        # Sent once more, because its response was lost: it is stored as it should be.
        campaign_id = item_shown(at.session, item_id=item_of_slot(at.session, slot_id=slot_id)).campaign_id
    else:
        campaign_id = judged.campaign_id
        if form.flag:
            _flag(at, judged, judgement)
    slot = _taken(at, campaign_id, besides=ahead)
    if ahead is not None:
        return at.view.html("review/_after.html", after_for(at, campaign_id, slot))
    return _shown_next(at, campaign_id, slot)


@router.post("/verdicts/{verdict_id}/undo", include_in_schema=False)
def undo(at: AtDesk, verdict_id: IdInPath) -> Response:
    """Undo one's own verdict, and show its item again with what was typed."""
    own = next((v for v in own_verdicts(at.session, account_id=at.viewer.id, size=50).rows if v.id == verdict_id), None)
    slot = undo_verdict(at.session, verdict_id=verdict_id, reviewer=at.reviewer)
    shown = item_for(at, slot, Typed() if own is None else Typed(own.kind, own.confidence, own.note))
    if at.view.wants_part:
        return at.view.html("review/_item.html", shown, HX_Push_Url=f"/review/{slot.id}")
    return at.view.html("review/item.html", shown)


@page(router, "/items/{item_id}", template="review/result.html")
def result(session: DbSession, viewer: MayReview, item_id: IdInPath) -> ReviewResult:
    """An item with its verdicts, for those who have judged it; for all once its campaign has ended."""
    item, given = item_shown(session, item_id=item_id), item_verdicts(session, item_id=item_id)
    is_told = item.is_open_about_itself or (viewer.may(Permission.ADJUDICATE) and item.outcome is not None)
    if not is_told and viewer.name not in {each.by for each in given}:
        raise Conflict("Others' verdicts are shown once you have given yours, or the campaign has ended.")
    address = f"/{item.slug}/{item.layer}/{item.index}?explanation={item.explanation_id}"
    is_rejected = item.is_open_about_itself and item.outcome in REJECTING
    methods = choices_for(session, viewer) if is_rejected else ()
    standing = None
    if item.is_open_about_itself and not item.is_planted:
        standing = standings_of(session, explanation_ids=[item.explanation_id])[item.explanation_id]
    return ReviewResult(item.told, given, address if item.is_open_about_itself else None, methods, standing)


@router.post("/items/{item_id}/send-back", include_in_schema=False)
def ask_again(
    session: DbSession,
    viewer: Annotated[Viewer, Depends(allowed_to(Permission.ADJUDICATE), scope="function")],
    item_id: IdInPath,
    note: Annotated[str, Form(max_length=LONGEST_NOTE)] = "",
) -> Response:
    """Ask for another look at a settled item."""
    send_back(session, item_id=item_id, account_id=viewer.id, note=note)
    campaign_id = item_shown(session, item_id=item_id).campaign_id
    return RedirectResponse(f"/campaigns/{campaign_id}", status_code=303)


def _taken(at: Desk, campaign_id: int, *, besides: int | None) -> TakenSlot | None:
    """The next slot after a verdict. None also where none may be taken any more: the verdict is stored all the same."""
    try:
        return take_next(at.session, campaign_id=campaign_id, reviewer=at.reviewer, besides=besides)
    except (Conflict, Forbidden):
        return None


def _shown_next(at: Desk, campaign_id: int, slot: TakenSlot | None) -> Response:
    """The next item, or that nothing is left: as a part for htmx, else as the page at its own address."""
    if slot is None:
        template = "review/_done.html" if at.view.wants_part else "review/done.html"
        return at.view.html(template, done_for(at, campaign_id))
    if not at.view.wants_part:
        return RedirectResponse(f"/review/{slot.id}", status_code=303)
    return at.view.html("review/_item.html", item_for(at, slot), HX_Push_Url=f"/review/{slot.id}")


def _too_late(at: Desk, slot_id: int, typed: Typed, stored: Judgement | None) -> Response:
    item = item_shown(at.session, item_id=item_of_slot(at.session, slot_id=slot_id))
    kind = None if stored is None else VerdictKind(stored.kind)
    context = ReviewExpired(item.id, item.campaign_id, LeaseExpired().message, typed, kind)
    if at.view.wants_part:
        return at.view.html("review/_expired.html", context, status=409, HX_Retarget="#messages", HX_Reswap="innerHTML")
    return at.view.html("review/expired.html", context, status=409)


def _flag(at: Desk, judged: Judged, judgement: Judgement) -> None:
    """Flag the explanation too. A planted text is not an explanation: there only the verdict records the flag."""
    item = item_shown(at.session, item_id=judged.item_id)
    if item.is_planted or item.is_standing:
        return
    reasons = {kind: reason for reason, kind in FLAG_KINDS.items()}
    reason = reasons.get(VerdictKind(judgement.kind), FlagReason.OTHER)
    try:
        with at.session.begin_nested():
            open_flag(
                at.session,
                explanation_id=item.explanation_id,
                account_id=at.viewer.id,
                reason=reason,
                note=judgement.note,
            )
    except Conflict:  # this person has flagged it before
        return
