"""Flags: doubts about explanations, and reviewers' verdicts."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Path
from fastapi.responses import RedirectResponse, Response

from app.domain.bounds import BIGGEST_ID
from app.domain.flags import FlagReason, FlagState
from app.domain.roles import Permission
from app.errors import Invalid
from app.queries.common.inputs import one_of
from app.queries.people.accounts import Viewer
from app.queries.review.flags import FlagRow, flag_row, flags_page, n_open_flags, resolve_flag
from app.queries.review.taking import Reviewer
from app.web.deps import AppSettings, DbSession, allowed_to
from app.web.rendering.templating import CurrentView, page

router = APIRouter()


@dataclass(frozen=True, slots=True)
class FlagsPage:
    """One page of flags."""

    state: FlagState
    states: tuple[FlagState, ...]
    reason: FlagReason | None
    n_open: int
    flags: tuple[FlagRow, ...]
    previous: str | None
    next: str | None
    reasons: tuple[FlagReason, ...]


@dataclass(frozen=True, slots=True)
class FlagsFlag:
    """One flag."""

    flag: FlagRow


@page(router, "/flags", template="flags/page.html", partial="flags/_results.html")
def flags(
    session: DbSession,
    settings: AppSettings,
    *,
    state: FlagState = FlagState.OPEN,
    reason: str = "",
    after: str | None = None,
    before: str | None = None,
) -> FlagsPage:
    """Open or resolved flags, newest first."""
    wanted = one_of(reason, FlagReason, what="reason") if reason else None
    found = flags_page(
        session,
        size=settings.page_size,
        is_open=state is FlagState.OPEN,
        reason=wanted,
        after=after or None,
        before=before or None,
    )
    return FlagsPage(
        state=state,
        states=tuple(FlagState),
        reason=wanted,
        n_open=n_open_flags(session),
        flags=found.rows,
        previous=_address(state, wanted, before=found.previous) if found.previous is not None else None,
        next=_address(state, wanted, after=found.next) if found.next is not None else None,
        reasons=tuple(FlagReason),
    )


@page(router, "/flags/{flag_id}", template="flags/flag.html")
def flag(session: DbSession, flag_id: Annotated[int, Path(ge=1, le=BIGGEST_ID)]) -> FlagsFlag:
    """One flag with its verdict, if it has one."""
    return FlagsFlag(flag_row(session, flag_id=flag_id))


@router.post("/flags/{flag_id}/resolve", include_in_schema=False)
def resolve(
    session: DbSession,
    view: CurrentView,
    viewer: Annotated[Viewer, Depends(allowed_to(Permission.REVIEW), scope="function")],
    flag_id: Annotated[int, Path(ge=1, le=BIGGEST_ID)],
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
        shown = FlagsFlag(flag_row(session, flag_id=flag_id))
        return view.html("flags/_flag.html", shown)
    return RedirectResponse(f"/flags/{flag_id}", status_code=303)


def _address(state: FlagState, reason: FlagReason | None, **cursor: str | None) -> str:
    fields = {"state": state if state is not FlagState.OPEN else None, "reason": reason} | cursor
    return f"/flags?{urlencode([(name, value) for name, value in fields.items() if value])}"
