"""The atlas: all neurons of a subject in one picture, and a table of its layers beside it."""

from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from app.domain.atlas import SCALES, AtlasState, LayerFigures, Plane, Scale
from app.errors import NotFound
from app.queries.subjects.lookup import SubjectHead, subject_head
from app.web.atlas.kept import KnownAtlases
from app.web.atlas.legend import Swatch, legend_of
from app.web.deps import DbSession
from app.web.http.conditional import file_response
from app.web.http.routing import PageRouter
from app.web.http.unchanged import KEPT_ENDPOINTS, made_at
from app.web.rendering.templating import PROBLEMS, page

router = PageRouter()

MEDIA_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class AtlasPage:
    """All neurons of a subject."""

    subject: SubjectHead
    address: str
    file: str | None
    """Where the picture's bytes are; None where there are too many neurons to draw."""
    planes: dict[Plane, Scale]
    """What the bytes mean, in their order."""
    states: tuple[AtlasState, ...]
    layers: tuple[LayerFigures, ...]

    @staticmethod
    def legend(plane: Plane) -> tuple[Swatch, ...]:
        """The colours of a plane."""
        return legend_of(plane)

    @property
    def first(self) -> Plane:
        """The property that is shown first."""
        if self.subject.has_headlines:
            return Plane.HEADLINE
        return Plane.SCORE if any(layer.score is not None for layer in self.layers) else Plane.STATE


@page(router, "/{slug}/atlas", template="atlas/page.html", is_kept=True)
def atlas(session: DbSession, request: Request, atlases: KnownAtlases, slug: str) -> AtlasPage:
    """A picture of all neurons of a subject: its scales, where its bytes are, and each layer in numbers."""
    head = subject_head(session, slug=slug)
    found = atlases.get(session, slug=slug, head=head)
    made_at(request.state, found.version)
    return AtlasPage(
        subject=head,
        address=f"/{slug}",
        file=None if found.file is None else f"/{slug}/atlas.bin",
        planes=SCALES,
        states=tuple(AtlasState),
        layers=found.layers,
    )


@router.get(
    "/{slug}/atlas.bin",
    response_class=Response,
    responses={**PROBLEMS, 200: {"content": {MEDIA_TYPE: {}}}, 304: {"description": "Unchanged"}},
)
@router.head("/{slug}/atlas.bin", include_in_schema=False)
async def atlas_file(session: DbSession, request: Request, atlases: KnownAtlases, slug: str) -> Response:
    """All neurons of a subject as bytes, one for each neuron and property.

    ``NATL``, then three little-endian uint32 (version, layers, neurons per layer), then the planes of
    ``/{slug}/atlas.json`` in their order: layer by layer, by index. 0 is a neuron without the value, another byte b is
    ``low + (b - 1) * step``, of a base-10 logarithm where ``is_log10``.
    """
    # What is in memory is sent from the event loop, as static files are; only a look at the database needs a thread.
    found = atlases.fresh(slug)
    if found is None:
        found = await run_in_threadpool(atlases.get, session, slug=slug)
    made_at(request.state, found.version)
    if found.file is None:
        raise NotFound("This subject has too many neurons to be drawn. Its table of layers is complete.")
    return file_response(request, found.file.content, found.file.compressed, found.file.digest, media_type=MEDIA_TYPE)


KEPT_ENDPOINTS.add(atlas_file)
