"""``neuron-audit collect``: the command's options and its output."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import rich.progress as bars
from rich.console import Console
from sqlalchemy.orm import Session

from app.db import make_sessions, transaction
from app.domain.slugs import slug_of
from app.errors import CollectionError
from app.schema import open_installation
from app.settings import Settings
from app.work.collections import enqueue_collection
from app.work.tasks import QueuedTask
from worker.collection.group import Group, joined_group
from worker.collection.passes import Part
from worker.collection.reporting import Progress, StoredProgress, Tell
from worker.collection.run import CollectOptions
from worker.collection.run import collect as collect_subject
from worker.collection.token_sums import GIGABYTES
from worker.corpora.corpus import TEXT_FIELD, open_corpus
from worker.subjects.load import LoadOptions, load_subject
from worker.subjects.loaded import LoadedSubject

TWIN_SUFFIX = "-null-twin"
LINE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class CollectArguments:
    """The command's options other than the model and the corpus."""

    slug: str | None = None
    max_tokens: int | None = None
    context_length: int = 64
    batch: int | None = None
    seed: int = 0
    dtype: str = "auto"
    bos: str = "auto"
    revision: str | None = None
    module_path: str | None = None
    text_field: str = TEXT_FIELD
    part: str = "1/1"
    restart: bool = False
    token_memory: float = GIGABYTES
    name: str | None = None
    null_twin: bool = False

    def options(self, model: str) -> CollectOptions:
        """The options of the collection. Raises CollectionError for a malformed part."""
        slug = self.slug or slug_of_model(model)
        return CollectOptions(
            slug=f"{slug}{TWIN_SUFFIX}" if self.null_twin else slug,
            context_length=self.context_length,
            max_tokens=self.max_tokens,
            seed=self.seed,
            batch=self.batch,
            part=parse_part(self.part),
            restart=self.restart,
            token_memory=self.token_memory,
            name=self.twin_name(slug) if self.null_twin else self.name,
            null_twin_of=slug if self.null_twin else None,
        )

    def twin_name(self, slug: str) -> str:
        """The name of a null twin on pages."""
        return f"{self.name or slug} (null twin)"

    @property
    def permutation_seed(self) -> int | None:
        """The seed that permutes the weights of a null twin."""
        return self.seed if self.null_twin else None


def collect(settings: Settings, *, model: str, corpus: str, queue: bool = False, **arguments: Any) -> None:
    """Run the command; ``arguments`` are the fields of ``CollectArguments``. Raises a DomainError with a sentence.

    With ``queue``, a worker collects. Under ``torchrun``, this is one of several processes that share the collection.
    """
    with joined_group(settings.device) as group:
        _collect(settings, model, corpus, CollectArguments(**arguments), queue=queue, group=group)


def _collect(
    settings: Settings, model: str, corpus: str, wanted: CollectArguments, *, queue: bool, group: Group
) -> None:
    options = wanted.options(model).in_group(group)
    console = Console(stderr=True, quiet=group.rank > 0)
    source = open_corpus(corpus, text_field=wanted.text_field)
    engine = open_installation(settings)
    if queue:
        with transaction(make_sessions(engine)) as session:
            task = enqueue_command(session, model, corpus, wanted)
        console.print(f"{options.slug}: queued; /tasks/{task.id} shows its progress and cancels it")
        engine.dispose()
        return
    subject = open_subject(settings.model_copy(update={"device": group.device(settings.device)}), model, wanted)
    info = subject.info
    console.print(
        f"{info.name}: {info.architecture}, {info.n_layers} layers of {info.neurons_per_layer} neurons, {info.dtype} "
        f"on {subject.device}"
    )
    sessions = make_sessions(engine)
    with progress_on(console) as show, StoredProgress(sessions, settings, options.part) as store:

        def tell(progress: Progress) -> None:
            show(progress)
            store(progress)

        outcome = collect_subject(sessions, subject, source, settings.data_dir / "collections", options, tell)
    for note in outcome.notes:
        console.print(f"note: {note}")
    if outcome.complete:
        console.print(f"{options.slug}: {outcome.tokens:,} tokens collected")
    else:
        console.print(f"part {wanted.part} is done; the collection is stored when the other parts are")
    engine.dispose()


def open_subject(settings: Settings, model: str, arguments: CollectArguments) -> LoadedSubject:
    """The model to collect. Raises CheckpointError, SubjectError."""
    return load_subject(
        model,
        LoadOptions(
            settings.device,
            arguments.dtype,
            arguments.bos,
            arguments.revision,
            arguments.module_path,
            permutation_seed=arguments.permutation_seed,
        ),
    )


def enqueue_command(session: Session, model: str, corpus: str, arguments: CollectArguments) -> QueuedTask:
    """Queue a collection for a worker, which must find model and corpus under the same paths.

    Raises CollectionError for ``restart``: a repeated task resumes and never starts over.
    """
    if arguments.restart:
        raise CollectionError("A queued collection goes on where it was. Use --restart without --queue.")
    slug = arguments.options(model).slug
    parameters = {
        "model": _absolute(model),
        "corpus": _absolute(corpus),
        "arguments": {**asdict(arguments), "slug": arguments.slug or slug_of_model(model)},
    }
    return enqueue_collection(session, slug=slug, parameters=parameters, account_id=None, part=arguments.part)


def _absolute(name: str) -> str:
    """An absolute path; a name that is not a path is returned unchanged."""
    path = Path(name).expanduser()
    return str(path.resolve()) if path.exists() else name


def slug_of_model(model: str) -> str:
    """A slug for URLs from a path or a hub id."""
    folder = Path(model).expanduser()
    return slug_of(folder.resolve().name if folder.is_dir() else folder.name)  # "." has no name


def parse_part(text: str) -> Part:
    """``2/4`` is the second of four parts. Raises CollectionError for a malformed part."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise CollectionError(f"A part is written like 2/4, not {text!r}.")
    return Part(int(match[1]) - 1, int(match[2]))


@contextmanager
def progress_on(console: Console) -> Iterator[Tell]:
    """A progress bar on a terminal, occasional lines elsewhere."""
    if not console.is_terminal:
        yield _lines(console)
        return
    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[unit]}"),
        bars.TextColumn("{task.fields[speed]}"),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=None, speed="", unit="")

        def tell(now: Progress) -> None:
            progress.update(
                task,
                description=now.stage.label,
                completed=now.done,
                total=now.total or None,
                unit=now.stage.unit,
                speed=_speed(now),
            )

        yield tell


def _lines(console: Console) -> Callable[[Progress], None]:
    last = {"stage": "", "at": "0"}

    def tell(now: Progress) -> None:
        seconds = monotonic()
        if now.stage != last["stage"] or seconds - float(last["at"]) >= LINE_SECONDS:
            last.update(stage=now.stage, at=str(seconds))
            of = f" of {now.total:,}" if now.total else ""
            console.print(f"{now.stage.label}: {now.done:,}{of} {now.stage.unit} {_speed(now)}".rstrip())

    return tell


def _speed(now: Progress) -> str:
    if not now.per_second:
        return ""
    left = (now.total - now.done) / now.per_second
    return f"{now.per_second:,.0f}/s, {left:,.0f} s left"
