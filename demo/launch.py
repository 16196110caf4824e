"""``neuron-audit demo``: the whole product on the bundled model, with one address to open.

It can be interrupted at any point, also by ``kill -9``: the collection resumes after its last shard, and runs are
queued in one transaction or not at all.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db import Sessions, make_sessions, transaction
from app.domain.collections import CollectionStage, CollectionStatus
from app.domain.roles import Role
from app.domain.work import ACTIVE, WorkStatus
from app.errors import Conflict, DomainError
from app.health import web_is_alive
from app.models import Account, Batch, Collection, Neuron, Subject, Task
from app.queries.methods.definitions import newest_method
from app.queries.people.accounts import ensure_account
from app.queries.people.logins import create_login_token
from app.queries.runs.counts import total_counts
from app.schema import open_installation
from app.settings import Settings
from app.work.checks import enqueue_check
from app.work.enqueue import enqueue_batch
from demo.audit import create_demo_campaign, let_simulated_reviewers_begin
from demo.processes import ChildFailed, Children, children
from worker.run.outages import through_outages

T = TypeVar("T")

SLUG = "stdlib-gpt2"
NAME = "Standard-library GPT-2"
SUBJECT = ("--slug", SLUG, "--name", NAME)
TWIN = f"{SLUG}-null-twin"
TWIN_EVERY = 4
"""One in this many neurons of the null twin is explained; the distribution of a layer's scores needs no more."""
FIRST_LOOK = ("--max-tokens", "600000")
MODEL = Path(__file__).parent / "model"
CORPUS = "demo:stdlib"
METHOD = "lexical"
OWNER = "owner"
TICK_SECONDS = 0.5
MAX_WORKERS = 4
FINAL = (1, 2)
"""Exit codes of a command that would fail again in the same way: refused, or not understood."""

_OWNER = select(Account.id).where(Account.name == OWNER)
_COLLECTIONS = select(Collection).join(Subject, Subject.id == Collection.subject_id)


def launch(settings: Settings) -> int:
    """Run the demo until Ctrl-C. Returns the exit code."""
    console = Console(stderr=True)
    if not _port_is_free(settings):
        console.print(f"Port {settings.port} is taken. Name another in NEURON_AUDIT_PORT.")
        return 1
    console.print("Starting the database ...")
    engine = open_installation(settings)
    sessions = make_sessions(engine)
    try:
        with children(settings.data_dir / "logs") as group:
            _run(settings, sessions, group, console)
    except KeyboardInterrupt:
        console.print("Stopped. Everything is kept: the same command goes on from here.")
    except (ChildFailed, DomainError) as error:
        console.print(str(error), markup=False)
        return 1
    finally:
        engine.dispose()
    return 0


def _run(settings: Settings, sessions: Sessions, group: Children, console: Console) -> None:
    token = _asked(sessions, partial(_login_token, minutes=settings.login_token_minutes))
    group.start("web", "serve", "--exit-with-parent")
    _wait_until_served(settings, group)
    console.print(f"\n  http://{settings.host}:{settings.port}/login?token={token}\n", highlight=False, soft_wrap=True)
    console.print("  Open this address; its token works once. Ctrl-C stops everything.\n")
    with _progress(console) as progress:
        _collect_a_first_look(sessions, group, progress)
        for number in range(1, min(MAX_WORKERS, os.cpu_count() or 1) + 1):
            group.start(f"worker-{number}", "worker", "--exit-with-parent")
        _collect_everything(sessions, group, progress)
        _asked(sessions, partial(_enqueue_neurons_once, slug=SLUG, every=1, settings=settings))
        _watch_runs(sessions, group, progress)
        _check_everything(sessions, group, progress, SLUG)
        _prepare_an_audit(sessions, group, progress)
        _collect_the_null_twin(sessions, group, progress)
        _asked(sessions, partial(_enqueue_neurons_once, slug=TWIN, every=TWIN_EVERY, settings=settings))
        _watch_runs(sessions, group, progress)
        _check_everything(sessions, group, progress, TWIN)
    console.print(
        "Everything is explained and checked, and an audit is ready to be judged. The pages stay up until Ctrl-C."
    )
    while True:
        for name in group.keep_alive():
            console.print(f"{name} had stopped and was started again.")
        time.sleep(TICK_SECONDS)


def _collect_a_first_look(sessions: Sessions, group: Children, progress: Progress) -> None:
    """Collect a small part, so that pages have something to show within a minute."""
    if _n_complete(sessions, SLUG) == 0:
        _collect(sessions, group, progress, "A first look", FIRST_LOOK)


def _collect_everything(sessions: Sessions, group: Children, progress: Progress) -> None:
    """Collect the whole standard library; its records replace the first look's."""
    if _n_complete(sessions, SLUG) == 1:
        _collect(sessions, group, progress, "The whole standard library")


def _collect_the_null_twin(sessions: Sessions, group: Children, progress: Progress) -> None:
    """Collect the null twin: the same model with permuted weights."""
    if _n_complete(sessions, TWIN) == 0:
        _collect(sessions, group, progress, "The null twin", (*FIRST_LOOK, "--null-twin"))


def _collect(sessions: Sessions, group: Children, progress: Progress, name: str, options: tuple[str, ...] = ()) -> None:
    bar = progress.add_task(name, total=None)
    child = group.start("collect", "collect", str(MODEL), CORPUS, *SUBJECT, *options, "--exit-with-parent", ends=True)
    while child.exit_code != 0:
        if child.exit_code in FINAL:
            raise ChildFailed(f"The collection ended early. The end of {child.log}:\n{child.last_lines()}")
        group.keep_alive()
        row = _running(sessions, TWIN if "--null-twin" in options else SLUG)
        if row is not None:
            title = f"{name}: {CollectionStage(row.stage).label}"
            progress.update(bar, description=title, completed=row.tokens_done, total=row.tokens_planned)
        time.sleep(TICK_SECONDS)
    group.forget(child)
    done = next(task.total for task in progress.tasks if task.id == bar) or 1
    progress.update(bar, description=name, completed=done, total=done)


def _n_complete(sessions: Sessions, slug: str) -> int:
    complete = _COLLECTIONS.with_only_columns(func.count()).where(
        Subject.slug == slug, Collection.status == CollectionStatus.COMPLETE
    )
    return _asked(sessions, lambda session: session.scalar(complete)) or 0


def _running(sessions: Sessions, slug: str) -> Collection | None:
    running = _COLLECTIONS.where(Subject.slug == slug, Collection.status == CollectionStatus.RUNNING)
    newest = running.order_by(Collection.id.desc()).limit(1)
    return _asked(sessions, lambda session: session.scalar(newest))


def _login_token(session: Session, *, minutes: int) -> str:
    """A token with which the owner logs in once."""
    owner = ensure_account(session, name=OWNER, role=Role.ADMINISTRATOR)
    return create_login_token(session, account_id=owner.id, minutes=minutes)


def _enqueue_neurons_once(session: Session, *, slug: str, every: int, settings: Settings) -> None:
    """The first batch of a subject: one neuron in ``every`` through the lexical method, in one transaction."""
    subject = session.scalars(select(Subject).where(Subject.slug == slug)).one()
    if session.scalar(select(Batch.id).where(Batch.subject_id == subject.id).limit(1)) is not None:
        return
    neurons = session.scalars(
        select(Neuron.id)
        .where(Neuron.subject_id == subject.id, Neuron.max > 0, Neuron.index % every == 0)
        .order_by(Neuron.layer, Neuron.index)
    ).all()
    enqueue_batch(
        session,
        subject_id=subject.id,
        neuron_ids=neurons,
        method_id=newest_method(session, name=METHOD).id,
        account_id=session.scalar(_OWNER),
        limit=settings.batch_limit,
    )


def _watch_runs(sessions: Sessions, group: Children, progress: Progress) -> None:
    """Show the runs of all batches until none is active."""
    total, active = _count_runs(sessions)
    if not active:
        return
    bar = progress.add_task("Explaining the neurons", total=total, completed=total - active)
    while active:
        group.keep_alive()
        total, active = _count_runs(sessions)
        progress.update(bar, total=total, completed=total - active)
        time.sleep(TICK_SECONDS)


def _check_everything(sessions: Sessions, group: Children, progress: Progress, slug: str) -> None:
    """Execute the explanations on the whole corpus, unless they have been."""
    task_id = _asked(sessions, partial(_enqueue_check, slug=slug))
    if task_id is None:
        return
    bar = progress.add_task("Checking the explanations", total=1.0)
    while True:
        group.keep_alive()
        task = _asked(sessions, lambda session: session.get_one(Task, task_id))
        progress.update(bar, completed=task.progress)
        if not WorkStatus(task.status).is_active:
            return
        time.sleep(TICK_SECONDS)


def _enqueue_check(session: Session, *, slug: str) -> int | None:
    """Queue the check of unchecked explanations; returns the task's id, None if there are none."""
    try:
        return enqueue_check(session, slug=slug, account_id=session.scalar(_OWNER)).id
    except Conflict:
        return None


def _prepare_an_audit(sessions: Sessions, group: Children, progress: Progress) -> None:
    """Prepare a small campaign with controls and the verdicts of simulated reviewers."""
    _asked(sessions, lambda s: create_demo_campaign(s, slug=SLUG, account_id=s.scalar(_OWNER)))
    bar = progress.add_task("Preparing an audit", total=1.0)
    while not _asked(sessions, partial(let_simulated_reviewers_begin, slug=SLUG)):
        group.keep_alive()
        time.sleep(TICK_SECONDS)
    progress.update(bar, completed=1.0)


def _count_runs(sessions: Sessions) -> tuple[int, int]:
    """The number of all runs, and of those that are queued or running."""
    counts = _asked(sessions, total_counts)
    return sum(counts.values()), sum(counts[status] for status in ACTIVE)


def _asked(sessions: Sessions, action: Callable[[Session], T]) -> T:
    """The result of one transaction, repeated as long as the database is unreachable."""

    def once() -> T:
        with transaction(sessions) as session:
            return action(session)

    return through_outages(once, stop=Event())


def _wait_until_served(settings: Settings, group: Children) -> None:
    while not web_is_alive(settings):
        group.keep_alive()
        time.sleep(TICK_SECONDS / 5)


def _port_is_free(settings: Settings) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex((settings.host, settings.port)) != 0


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    ) as progress:
        yield progress
