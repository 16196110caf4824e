"""Cut corpora that are kept after their collection, so that later passes need not read and cut the corpus again.

Stored by corpus and settings of the cut: 4 bytes per token, and 16 per excerpt.
"""

import hashlib
from contextlib import suppress
from pathlib import Path

from worker.collection.plan import Plan, publish_file

FILES = ("excerpts.bin", "places.bin", "documents.jsonl", "plan.json")
"""The plan is moved last: without a plan the cut is incomplete."""


def kept_cut(folder: Path, *, corpus_digest: str, tokenizer_digest: str, context_length: int, n_excerpts: int) -> Path:
    """The folder for the cut of a collection below ``folder``, whether it exists or not."""
    name = hashlib.sha256(f"{corpus_digest}/{tokenizer_digest}/{context_length}/{n_excerpts}".encode()).hexdigest()
    return folder / "cuts" / name[:16]


def keep_cut(home: Path, plan: Plan, tokenizer_digest: str) -> None:
    """Move the cut of a finished collection from its own folder ``home`` to the folder that keeps it.

    If a process is killed in between, its next call moves the remaining files.
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
