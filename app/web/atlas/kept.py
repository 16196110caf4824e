"""The atlas of each subject, cached in memory as it is sent, so that further requests cost no more than a static file.

Built from every neuron of a subject, which takes some tenths of a second for 300,000. So it is built at most once in
``KEPT_SECONDS``, and not at all while nothing that pages show has changed.
"""

import gzip
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Annotated, cast

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from app.domain.atlas import LayerFigures, layer_figures, pack_atlas
from app.domain.plots import SubjectPlots, subject_plots
from app.queries.common.versions import content_version
from app.queries.neurons.atlas import neuron_facts
from app.queries.subjects.lookup import SubjectHead, subject_head
from app.web.http.turns import Turns

KEPT_SECONDS = 10.0
MOST_KEPT = 8
"""Number of subjects whose atlases are cached: a megabyte or two each."""


@dataclass(frozen=True, slots=True)
class AtlasFile:
    """The planes as they are sent."""

    content: bytes
    compressed: bytes
    digest: str


@dataclass(frozen=True, slots=True)
class Atlas:
    """A subject's neurons in one picture."""

    subject_id: int
    version: int
    """The version of the database, read before the atlas was built."""
    file: AtlasFile | None
    """None if the subject has too many neurons to draw."""
    layers: tuple[LayerFigures, ...]
    plots: SubjectPlots


@dataclass(slots=True)
class _Kept:
    atlas: Atlas
    checked: float


class Atlases:
    """The atlases that were requested last, by the subject's slug."""

    def __init__(self, *, seconds: float = KEPT_SECONDS, clock: Callable[[], float] = monotonic) -> None:
        """``seconds`` is the greatest age of a cached atlas."""
        self._seconds, self._clock = seconds, clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._turns = Turns()

    def fresh(self, slug: str) -> Atlas | None:
        """The atlas that can be used without a query; None if there is none."""
        kept = self._kept.get(slug)
        return kept.atlas if kept is not None and self._clock() - kept.checked < self._seconds else None

    def get(self, session: Session, *, slug: str, head: SubjectHead | None = None) -> Atlas:
        """The atlas of a subject. No query if it is fresh, otherwise at most three. Raises NotFound, Unavailable."""
        found = self.fresh(slug)
        if found is not None:
            return found
        with self._turns.turn():  # a second request waits here for the first one's atlas
            return self.fresh(slug) or self._renewed(session, slug, head)

    def _renewed(self, session: Session, slug: str, head: SubjectHead | None) -> Atlas:
        now, kept = content_version(session), self._kept.get(slug)
        if kept is not None and kept.atlas.version == now:
            kept.checked = self._clock()
            return kept.atlas
        atlas = _built(session, head or subject_head(session, slug=slug), now)
        self._kept[slug] = _Kept(atlas, self._clock())
        self._kept.move_to_end(slug)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return atlas


def _built(session: Session, head: SubjectHead, version: int) -> Atlas:
    facts = neuron_facts(session, subject_id=head.id)
    content = pack_atlas(facts, n_layers=head.n_layers, width=head.neurons_per_layer)
    file = None
    if content is not None:
        file = AtlasFile(content, gzip.compress(content, mtime=0), hashlib.sha256(content).hexdigest()[:16])
    return Atlas(head.id, version, file, layer_figures(facts), subject_plots(facts))


async def kept_atlases(request: Request) -> Atlases:
    """The atlases that this process keeps."""
    return cast("Atlases", request.app.state.atlases)


KnownAtlases = Annotated[Atlases, Depends(kept_atlases)]
