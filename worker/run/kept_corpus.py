"""The cut corpus of a collection on this machine, for steps that search in it."""

from pathlib import Path

from app.queries.checks.store import CheckedCollection
from worker.collection.cuts import kept_cut
from worker.collection.plan import Excerpts, read_plan


def kept_excerpts(collection: CheckedCollection, folder: Path) -> Excerpts | None:
    """The excerpts of a collection, from its cut below ``folder``; None if this machine does not have it."""
    kept = kept_cut(
        folder,
        corpus_digest=collection.corpus_digest,
        tokenizer_digest=collection.tokenizer_digest,
        context_length=collection.context_length,
        n_excerpts=collection.n_excerpts,
    )
    return Excerpts(kept, read_plan(kept)) if (kept / "plan.json").exists() else None
