"""Embeddings for search by meaning: how far each subject is, and the button that queues the rest."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Form
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field

from app.domain.bounds import LONGEST_FIELD
from app.queries.common.inputs import price_of
from app.queries.embeddings.lookup import SubjectEmbeddings, model_in_use, subject_embeddings
from app.queries.runs.progress import WorkerCount, worker_count
from app.queries.subjects.lookup import named_subject
from app.web.deps import AppSettings, DbSession, MayQueue, MayReadOperations
from app.web.http.routing import PageRouter
from app.web.listing.meaning import required_source
from app.web.rendering.templating import page
from app.work.embeddings import enqueue_embedding

router = PageRouter()


class EmbeddingForm(BaseModel):
    """What an operator sends to have a subject embedded."""

    price_cap: str = Field("", max_length=LONGEST_FIELD)


@dataclass(frozen=True, slots=True)
class EmbeddingsPage:
    """The embedding model in use, and the subjects."""

    model: str
    is_endpoint: bool
    dimensions: int | None
    """None before the first embedding."""
    subjects: tuple[SubjectEmbeddings, ...]
    workers: WorkerCount

    @property
    def is_busy(self) -> bool:
        """Whether something on this page still changes."""
        return any(subject.is_active for subject in self.subjects)


@page(router, "/embeddings", template="embeddings/page.html", partial="embeddings/_subjects.html")
def embeddings_page(session: DbSession, settings: AppSettings, _viewer: MayReadOperations) -> EmbeddingsPage:
    """How many explanations of each subject are embedded for search by meaning."""
    source = required_source(settings)
    model = model_in_use(session, source=source)
    return EmbeddingsPage(
        model=source.label,
        is_endpoint=source.provider is not None,
        dimensions=None if model is None else model.dimensions,
        subjects=subject_embeddings(session, model=model, source=source),
        workers=worker_count(session),
    )


@router.post("/embeddings/{slug}", include_in_schema=False)
def embed(
    session: DbSession, settings: AppSettings, viewer: MayQueue, slug: str, form: Annotated[EmbeddingForm, Form()]
) -> Response:
    """Queue the embedding of a subject's explanations. Raises NotFound."""
    source = required_source(settings)
    named_subject(session, slug=slug)
    price_cap = price_of(form.price_cap, what="cap")
    enqueue_embedding(session, slug=slug, source=source, account_id=viewer.id, price_cap=price_cap)
    return RedirectResponse("/embeddings", status_code=303)
