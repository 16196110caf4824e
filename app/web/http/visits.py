"""The last neurons that somebody opened, stored in a browser cookie: without an account, and visible to nobody else."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

VISITS_COOKIE = "neuron_audit_visits"
VISITS_SECONDS = 90 * 86_400
KEPT = 8
_VISIT = re.compile(r"([a-z0-9][a-z0-9._-]{0,63}):(\d{1,6}):(\d{1,9})")


@dataclass(frozen=True, slots=True)
class Visit:
    """A neuron that was opened."""

    slug: str
    layer: int
    index: int

    @property
    def address(self) -> str:
        """The neuron's page."""
        return f"/{self.slug}/{self.layer}/{self.index}"


def read_visits(cookie: str | None) -> tuple[Visit, ...]:
    """The visits in a cookie, newest first. Malformed ones are left out, since anybody can send a cookie."""
    found = (_VISIT.fullmatch(part) for part in (cookie or "")[:1_000].split("|")[:KEPT])
    return tuple(Visit(m[1], int(m[2]), int(m[3])) for m in found if m is not None)


def with_visit(visits: Sequence[Visit], newest: Visit) -> str:
    """The cookie after another visit."""
    kept = [newest, *(visit for visit in visits if visit != newest)][:KEPT]
    return "|".join(f"{visit.slug}:{visit.layer}:{visit.index}" for visit in kept)


def visit_of(path: str) -> Visit | None:
    """The neuron whose page has this path; None for other pages."""
    found = _VISIT.fullmatch(path.removeprefix("/").replace("/", ":"))
    return None if found is None else Visit(found[1], int(found[2]), int(found[3]))


def remember_visit(response: Response, cookie: str | None, visit: Visit) -> None:
    """Let the browser remember a visit beside those that its cookie holds."""
    kept = with_visit(read_visits(cookie), visit)
    response.set_cookie(VISITS_COOKIE, kept, max_age=VISITS_SECONDS, httponly=True, samesite="lax")
