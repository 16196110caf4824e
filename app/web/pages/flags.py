"""Flags that people raised on explanations, and reviewers' verdicts on them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Form, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field

from app.domain.bounds import LONGEST_ADDRESS, LONGEST_FIELD, LONGEST_NAME
from app.domain.flags import FlagReason, FlagState, FlagVerdict
from app.domain.roles import Permission
from app.domain.verdict_lines import VerdictLine
from app.errors import Invalid
from app.queries.common.inputs import one_of
from app.queries.explanations.page import explanation_shown
from app.queries.people.accounts import Viewer
from app.queries.review.flags import open_flag, resolve_flag, withdraw_flag
from app.queries.review.flags_shown import FlagRow, FlagsWanted, flag_row, flags_page, n_open_flags
from app.queries.review.taking import Reviewer
from app.web.deps import AppSettings, CurrentViewer, DbSession, IdInPath, MayReview, allowed_to
from app.web.http.routing import PageRouter
from app.web.listing.work import address_with
from app.web.neuron.choices import MethodChoice, choices_for
from app.web.rendering.addresses import local_path
from app.web.rendering.templating import CurrentView, page

router = PageRouter()

MayFlag = Annotated[Viewer, Depends(allowed_to(Permission.FLAG), scope="function")]


class SentFlag(BaseModel):
    """What a person sends to flag an explanation."""

    reason: str = Field(max_length=LONGEST_FIELD)
    note: str = ""
    back: str = Field(default="", max_length=LONGEST_ADDRESS)
    """The page to return to."""


@dataclass(frozen=True, slots=True)
class FlagsPage:
    """One page of flags."""

    state: FlagState
    states: tuple[FlagState, ...]
    reason: FlagReason | None
    n_open: int
    by: str | None
    """The account whose flags are listed; None for all."""
    flags: tuple[FlagRow, ...]
    previous: str | None
    next: str | None
    reasons: tuple[FlagReason, ...]
    methods: tuple[MethodChoice, ...]
    """With which the viewer may queue a neuron again."""


@dataclass(frozen=True, slots=True)
class FlagsAsked:
    """Which flags the address names."""

    state: FlagState
    reason: FlagReason | None
    by: str | None

    @property
    def wanted(self) -> FlagsWanted:
        """The same for the query."""
        is_open = None if self.state is FlagState.ALL else self.state is FlagState.OPEN
        return FlagsWanted(is_open, self.reason, self.by)

    def address(self, **cursor: str | None) -> str:
        """The address of a page of them."""
        state = self.state if self.state is not FlagState.OPEN else None
        return address_with("/flags", state=state, reason=self.reason, by=self.by, **cursor)


async def asked_flags(
    state: FlagState = FlagState.OPEN,
    reason: Annotated[str, Query(max_length=LONGEST_FIELD, description=", ".join(FlagReason))] = "",
    by: Annotated[str, Query(max_length=LONGEST_NAME, description="The account that has flagged")] = "",
) -> FlagsAsked:
    """The flags that the address names. Raises Invalid for an unknown reason."""
    return FlagsAsked(state, one_of(reason, FlagReason, what="reason") if reason else None, by or None)


@dataclass(frozen=True, slots=True)
class FlagsFlag:
    """One flag, and with what its neuron can be queued again."""

    flag: FlagRow
    methods: tuple[MethodChoice, ...] = ()


@dataclass(frozen=True, slots=True)
class FlagsNew:
    """The form that flags an explanation from wherever it is shown."""

    explanation_id: int
    text: str
    line: VerdictLine
    neuron: str
    address: str
    back: str
    reasons: tuple[FlagReason, ...]


@page(router, "/flags", template="flags/page.html", partial="flags/_results.html")
def flags(
    session: DbSession,
    settings: AppSettings,
    viewer: CurrentViewer,
    asked: Annotated[FlagsAsked, Depends(asked_flags)],
    *,
    after: str | None = None,
    before: str | None = None,
) -> FlagsPage:
    """Open or resolved flags, newest first."""
    found = flags_page(
        session, size=settings.page_size, wanted=asked.wanted, after=after or None, before=before or None
    )
    return FlagsPage(
        state=asked.state,
        states=tuple(FlagState),
        reason=asked.reason,
        by=asked.by,
        n_open=n_open_flags(session),
        flags=found.rows,
        methods=choices_for(session, viewer) if _any_upheld(found.rows) else (),
        previous=asked.address(before=found.previous) if found.previous is not None else None,
        next=asked.address(after=found.next) if found.next is not None else None,
        reasons=tuple(FlagReason),
    )


@page(router, "/explanations/{explanation_id}/flag", template="flags/new.html")
def new_flag(
    session: DbSession,
    _viewer: MayFlag,
    explanation_id: IdInPath,
    back: Annotated[str, Query(max_length=LONGEST_ADDRESS, description="The page to return to")] = "",
) -> FlagsNew:
    """The reasons to flag an explanation, one press each."""
    shown = explanation_shown(session, explanation_id=explanation_id)
    address = f"/{shown.subject}/{shown.layer}/{shown.index}"
    return FlagsNew(
        explanation_id=explanation_id,
        text=shown.row.text,
        line=shown.row.line,
        neuron=f"{shown.subject} {shown.layer}/{shown.index}",
        address=f"{address}?explanation={explanation_id}",
        back=local_path(back) if back else address,
        reasons=tuple(FlagReason),
    )


@router.post("/explanations/{explanation_id}/flags", include_in_schema=False)
def flag_explanation(
    session: DbSession,
    view: CurrentView,
    viewer: MayFlag,
    explanation_id: IdInPath,
    sent: Annotated[SentFlag, Form()],
) -> Response:
    """Flag an explanation, and return to where it was seen."""
    flag_id = open_flag(
        session, explanation_id=explanation_id, account_id=viewer.id, reason=sent.reason, note=sent.note
    )
    shown = flag_row(session, flag_id=flag_id)
    told = f"Flagged {shown.layer}/{shown.index} as {shown.reason.label.lower()}."
    return view.moved(local_path(sent.back) if sent.back else f"/flags/{flag_id}", told=told)


@page(router, "/flags/{flag_id}", template="flags/flag.html")
def flag(session: DbSession, viewer: CurrentViewer, flag_id: IdInPath) -> FlagsFlag:
    """One flag with its verdict, if it has one, and what can be done about the neuron."""
    found = flag_row(session, flag_id=flag_id)
    return FlagsFlag(found, choices_for(session, viewer) if _any_upheld([found]) else ())


@router.post("/flags/{flag_id}/resolve", include_in_schema=False)
def resolve(
    session: DbSession,
    view: CurrentView,
    viewer: MayReview,
    flag_id: IdInPath,
    *,
    verdict: Annotated[str, Form()] = "",
    note: Annotated[str, Form()] = "",
) -> Response:
    """Judge a flagged explanation."""
    if not verdict:
        raise Invalid("Choose a verdict: uphold the flag if the complaint is right, reject it if it is not.")
    reviewer = Reviewer(viewer.id, viewer.may(Permission.ADJUDICATE))
    resolve_flag(session, flag_id=flag_id, reviewer=reviewer, kind=verdict, note=note)
    if view.wants_part:
        shown = FlagsFlag(flag_row(session, flag_id=flag_id), choices_for(session, viewer))
        return view.html("flags/_flag.html", shown)
    return view.moved(f"/flags/{flag_id}", told="The flag is settled.")


@router.post("/flags/{flag_id}/withdraw", include_in_schema=False)
def withdraw(
    session: DbSession,
    view: CurrentView,
    viewer: MayFlag,
    flag_id: IdInPath,
) -> Response:
    """Undo one's own flag, as long as nobody has judged it."""
    withdraw_flag(session, flag_id=flag_id, account_id=viewer.id)
    if view.wants_part:
        return view.html("flags/_flag.html", FlagsFlag(flag_row(session, flag_id=flag_id)))
    return view.moved(f"/flags/{flag_id}", told="The flag is withdrawn.")


def _any_upheld(flags: Iterable[FlagRow]) -> bool:
    """Whether queueing a neuron again is offered with one of them."""
    return any(flag.verdict is FlagVerdict.UPHELD for flag in flags)
