"""``neuron-audit embed``: a subject's explanations, for search by meaning."""

from typing import Annotated

import typer

from app.cli.common import opened, settings
from app.errors import Invalid
from app.queries.embeddings.source import embedding_source
from app.work.embeddings import enqueue_embedding


def embed_command(
    subject: Annotated[str, typer.Argument(help="The subject's name in addresses.")],
    price_cap: Annotated[float | None, typer.Option(min=0, help="The most that its calls may cost.")] = None,
) -> None:
    """Let a worker embed the explanations of a subject that are not embedded yet, for search by meaning."""
    loaded = settings()
    source = embedding_source(loaded)
    if source is None:
        raise Invalid(
            "No embedding model is set. Name an endpoint in NEURON_AUDIT_EMBEDDING_PROVIDER, or a model's folder in"
            " NEURON_AUDIT_EMBEDDING_MODEL, for the web server and the workers."
        )
    with opened(loaded) as session:
        task = enqueue_embedding(session, slug=subject, source=source, account_id=None, price_cap=price_cap)
    typer.echo(f"{subject}: {'queued' if task.is_new else 'queued already'}; /tasks/{task.id} shows its progress")
