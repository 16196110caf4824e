"""Plots of a subject's neurons: every mark lists the neurons that it counts."""

from dataclasses import dataclass

from fastapi import Request

from app.domain.plots import SubjectPlots
from app.queries.methods.figures import MethodName, explaining_methods
from app.queries.subjects.lookup import SubjectHead, subject_head
from app.web.atlas.kept import KnownAtlases
from app.web.deps import DbSession
from app.web.http.routing import PageRouter
from app.web.http.unchanged import made_at
from app.web.rendering.templating import page

router = PageRouter()

ROWS_IN_SIGHT = 12
"""Layers whose histograms are shown unfolded."""


@dataclass(frozen=True, slots=True)
class PlotsPage:
    """A subject's neurons by their scores, firing rates and layers."""

    subject: SubjectHead
    address: str
    plots: SubjectPlots
    methods: tuple[MethodName, ...]
    """Methods that have explained neurons, to be compared in pairs."""

    @property
    def rows_in_sight(self) -> int:
        """Layers whose histograms are shown unfolded."""
        return ROWS_IN_SIGHT


@page(router, "/{slug}/plots", template="atlas/plots.html", is_kept=True)
def plots(session: DbSession, request: Request, atlases: KnownAtlases, slug: str) -> PlotsPage:
    """Histograms by layer, and neurons by two values at once."""
    head = subject_head(session, slug=slug)
    found = atlases.get(session, slug=slug, head=head)
    made_at(request.state, found.version)
    return PlotsPage(head, f"/{slug}", found.plots, explaining_methods(session))
