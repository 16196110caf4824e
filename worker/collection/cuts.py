"""The cut of a corpus outlives its collection, so that later passes read the same excerpts without reading the corpus.

Kept by what was cut and how: 4 bytes per token, and 16 per excerpt.
"""

import hashlib
from contextlib import suppress
from pathlib import Path

from worker.collection.plan import Plan, publish_file

FILES = ("excerpts.bin", "places.bin", "documents.jsonl", "plan.json")
"""The plan last: a cut without one is not whole."""


def kept_cut(folder: Path, *, corpus_digest: str, tokenizer_digest: str, context_length: int, n_excerpts: int) -> Path:
    """Where the cut of a collection is kept below ``folder``, whether it is there or not."""
    name = hashlib.sha256(f"{corpus_digest}/{tokenizer_digest}/{context_length}/{n_excerpts}".encode()).hexdigest()
    return folder / "cuts" / name[:16]


def keep_cut(home: Path, plan: Plan, tokenizer_digest: str) -> None:
    """Move the cut of a finished collection from its own folder ``home`` to the folder that keeps it.

    A process that is killed between two files leaves the rest to its next call: what is gone has been moved.
    """
    kept = kept_cut(
        home.parent,
        corpus_digest=plan.corpus_digest,
        tokenizer_digest=tokenizer_digest,
        context_length=plan.context_length,
        n_excerpts=plan.n_excerpts,
    )
    if (kept / "plan.json").exists() or not (home / "plan.json").exists():
        return
    kept.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        with suppress(FileNotFoundError):
            publish_file(home / name, kept / name)
