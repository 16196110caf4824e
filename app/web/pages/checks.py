"""Queue a check of a subject's explanations on the whole corpus."""

from typing import Annotated

from fastapi import Depends
from fastapi.responses import RedirectResponse, Response

from app.domain.roles import Permission
from app.queries.people.accounts import Viewer
from app.web.deps import DbSession, allowed_to
from app.web.http.routing import PageRouter
from app.work.checks import enqueue_check

router = PageRouter()


@router.post("/{slug}/check", include_in_schema=False)
def check(
    session: DbSession, slug: str, viewer: Annotated[Viewer, Depends(allowed_to(Permission.QUEUE), scope="function")]
) -> Response:
    """Queue a check, or show the one that is queued already."""
    task = enqueue_check(session, slug=slug, account_id=viewer.id)
    return RedirectResponse(f"/tasks/{task.id}", status_code=303)
