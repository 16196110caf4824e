"""Where the field in the bar leads: to a neuron, to a page, or to a search in explanations."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query
from fastapi.responses import RedirectResponse, Response

from app.domain.bounds import BIGGEST_INDEX, BIGGEST_LAYER, LONGEST_SEARCH
from app.queries.common.inputs import plain_text
from app.queries.subjects.lookup import SubjectName, subject_names
from app.web.deps import DbSession
from app.web.http.routing import PageRouter
from app.web.rendering.templating import CurrentView

router = PageRouter()

ADDRESS = re.compile(r"(?:(?P<slug>\S+?)[\s/]+)?(?P<layer>\d{1,6})\s*[/:., ]\s*(?P<index>\d{1,9})")
"""``3/17``, ``3 17``, ``3:17``, ``my-model/3/17``."""
PAGES = {
    "subjects": "/",
    "home": "/",
    "batches": "/batches",
    "queue": "/batches",
    "tasks": "/tasks",
    "flags": "/flags",
    "methods": "/methods",
    "search": "/search",
    "lists": "/lists",
    "bill": "/bill",
}


@dataclass(frozen=True, slots=True)
class GoPage:
    """A search that may concern several subjects."""

    q: str
    choices: tuple[tuple[str, str], ...]
    """Name and address per subject."""


@router.get("/go", include_in_schema=False)
def go(
    session: DbSession,
    view: CurrentView,
    q: Annotated[str, Query()] = "",
    subject: Annotated[str, Query(max_length=LONGEST_SEARCH)] = "",
) -> Response:
    """Redirect to what ``q`` names. Among several subjects, and none said, a page to choose one. Raises Invalid."""
    wanted = plain_text(q, what="search", limit=LONGEST_SEARCH)
    subjects = subject_names(session)
    choices = _choices(wanted, subjects, subject)
    if len(choices) == 1:
        return RedirectResponse(choices[0][1], status_code=303)
    return view.html("go/page.html", GoPage(wanted, choices))


def _choices(wanted: str, subjects: Sequence[SubjectName], current: str) -> tuple[tuple[str, str], ...]:
    if wanted.lower() in PAGES:
        return ((wanted, PAGES[wanted.lower()]),)
    found = ADDRESS.fullmatch(wanted)
    slug = (found["slug"] if found else None) or current
    among = [s for s in subjects if s.slug == slug] or subjects
    if found and int(found["layer"]) <= BIGGEST_LAYER and int(found["index"]) <= BIGGEST_INDEX:
        return tuple((s.name, f"/{s.slug}/{int(found['layer'])}/{int(found['index'])}") for s in among)
    by_slug = [s for s in subjects if wanted.lower() in {s.slug.lower(), s.name.lower()}]
    if by_slug:
        return tuple((s.name, f"/{s.slug}") for s in by_slug)
    if not subjects or not wanted:
        return tuple((s.name, f"/{s.slug}") for s in among)
    only = {"subject": among[0].slug} if len(among) == 1 < len(subjects) else {}
    return ((wanted, f"/search?{urlencode({'words': wanted} | only)}"),)
