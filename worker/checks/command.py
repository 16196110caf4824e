"""``neuron-audit check``: the command's options and its output."""

from rich.console import Console

from app.db import make_sessions, transaction
from app.queries.subjects.lookup import stored_subject
from app.schema import open_installation
from app.settings import Settings
from worker.checks.run import CheckOptions, CheckOutcome
from worker.checks.run import check as check_subject
from worker.collection.command import parse_part, progress_on
from worker.collection.stored_subject import load_stored
from worker.corpora.corpus import open_corpus


def check(
    settings: Settings,
    *,
    subject: str,
    corpus: str | None,
    text_field: str,
    part: str,
    restart: bool,
) -> None:
    """Run the command. Raises a DomainError with a sentence for the user."""
    options = CheckOptions(
        slug=subject,
        corpus=None if corpus is None else open_corpus(corpus, text_field=text_field),
        part=parse_part(part),
        restart=restart,
    )
    console = Console(stderr=True)
    engine = open_installation(settings)
    sessions = make_sessions(engine)
    try:
        with transaction(sessions) as session:
            stored = stored_subject(session, slug=subject)
        loaded = load_stored(stored, device=settings.device)
        with progress_on(console) as tell:
            outcome = check_subject(sessions, loaded, settings.data_dir / "collections", options, tell)
        console.print(told(options, outcome))
    finally:
        engine.dispose()


def told(options: CheckOptions, outcome: CheckOutcome) -> str:
    """The outcome of a check in a line."""
    if not outcome.complete:
        part = options.part
        return f"part {part.number + 1}/{part.of} is done; the checks are stored when the other parts are"
    left_out = f"; {outcome.n_unreadable:,} make no claim that can be executed" if outcome.n_unreadable else ""
    return f"{options.slug}: {outcome.n_checked:,} explanations checked on {outcome.n_tokens:,} tokens{left_out}"
