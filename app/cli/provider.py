"""``neuron-audit provider``: language models under names, with their limits and prices."""

import json
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from app.cli.common import worker_libraries
from app.db import Sessions, make_sessions, transaction
from app.domain.language_models import ProviderKind
from app.errors import DomainError
from app.models import Provider
from app.queries.language_models import providers as queries
from app.queries.language_models.calls import cap_batch, cap_person
from app.queries.people.accounts import account_named
from app.schema import open_installation
from app.secrets import SecretBox
from app.settings import Settings

provider = typer.Typer(help="Language models under names.", no_args_is_help=True)

Kind = Annotated[ProviderKind, typer.Option(help="An endpoint, or a transformers model on the worker.")]


@dataclass(frozen=True, slots=True)
class _Program:
    settings: Settings
    sessions: Sessions


@contextmanager
def _program() -> Iterator[_Program]:
    """Settings and database; a domain error ends the command with its message."""
    settings = Settings()
    engine = open_installation(settings)
    try:
        yield _Program(settings, make_sessions(engine))
    except DomainError as error:
        raise typer.BadParameter(error.message) from error
    finally:
        engine.dispose()


def finite(value: float | None) -> float | None:
    """An option's number. Typer takes ``inf`` for one; a cap of that is never reached, and JSON cannot show it."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number.")
    return value


@provider.command("add")
def add(  # noqa: PLR0913, PLR0917 - one argument per option of the command line
    name: Annotated[str, typer.Argument(help="What methods call it.")],
    model: Annotated[str, typer.Argument(help="The endpoint's name of the model, or its folder or hub id.")],
    base_url: Annotated[str | None, typer.Option(help="For example https://api.openai.com/v1")] = None,
    kind: Kind = ProviderKind.OPENAI_COMPATIBLE,
    key_variable: Annotated[str | None, typer.Option(help="Environment variable that holds the key.")] = None,
    ask_key: Annotated[bool, typer.Option("--ask-key", help="Ask for the key and store it encrypted.")] = False,
    allow: Annotated[list[str] | None, typer.Option(help="Private range it may be in, e.g. 127.0.0.0/8.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests in flight at once.")] = 8,
    rpm: Annotated[int | None, typer.Option(min=1, help="Requests per minute.")] = None,
    tpm: Annotated[int | None, typer.Option(min=1, help="Tokens per minute.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, callback=finite, help="Seconds for a whole reply.")] = 120.0,
    price_in: Annotated[float, typer.Option(min=0, callback=finite, help="Price per million tokens read.")] = 0.0,
    price_cached: Annotated[
        float | None, typer.Option(min=0, callback=finite, help="The same, from the endpoint's cache.")
    ] = None,
    option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, e.g. dtype=bfloat16 of a local model.")] = None,
    price_out: Annotated[float, typer.Option(min=0, callback=finite, help="Price per million tokens written.")] = 0.0,
) -> None:
    """Add a provider. Probe it next, so that methods know what it can do."""
    chosen = queries.ProviderSettings(
        kind=kind,
        model=model,
        base_url=base_url,
        key_variable=key_variable,
        allowed_networks=tuple(allow or ()),
        concurrency=concurrency,
        requests_per_minute=rpm,
        tokens_per_minute=tpm,
        timeout_seconds=timeout,
        price_in=price_in,
        price_cached=price_in if price_cached is None else price_cached,
        price_out=price_out,
        options=_options(option or ()),
    )
    with _program() as program:
        chosen.columns()  # a mistake is told before the key is asked for
        secret = typer.prompt("Key", hide_input=True) if ask_key else None
        with transaction(program.sessions) as session:
            row = queries.add_provider(session, name=name, settings=chosen)
            if secret is not None:
                queries.set_key(session, provider_id=row.id, key=secret, box=SecretBox(program.settings.data_dir))
    typer.echo(f"Added {name}. Next: neuron-audit provider probe {name}")


def _options(given: Iterable[str]) -> dict[str, Any]:
    """Names with values, which are JSON or else taken as text."""
    found: dict[str, Any] = {}
    for pair in given:
        name, is_pair, value = pair.partition("=")
        if not is_pair:
            raise typer.BadParameter(f"{pair!r} is not NAME=VALUE.")
        try:
            found[name] = json.loads(value, parse_constant=str)
        except ValueError:
            found[name] = value
    return found


@provider.command("list")
def list_() -> None:
    """Show every provider, without its key."""
    with _program() as program, transaction(program.sessions) as session:
        rows = queries.providers(session)
    table = Table("name", "kind", "model", "base URL", "key", "can", "price in/cached/out", "probed")
    for row in rows:
        table.add_row(*_cells(row))
    Console(width=200).print(table if rows else "No provider yet: neuron-audit provider add --help")


def _cells(row: Provider) -> tuple[str, ...]:
    key = f"${row.key_variable}" if row.key_variable else ("stored" if row.key_encrypted else "none")
    can = "not probed" if row.capabilities is None else ", ".join(row.capabilities)
    probed = row.probe_error or (f"{row.probed_at:%Y-%m-%d %H:%M}" if row.probed_at else "never")
    prices = f"{row.price_in:g}/{row.price_cached:g}/{row.price_out:g}"
    name = f"{row.name} (disabled)" if row.disabled_at else row.name
    return name, row.kind, row.model, row.base_url or "", key, can, prices, probed


@provider.command("probe")
def probe(name: str) -> None:
    """Find out what a provider can do, and why not the rest, with a handful of small requests."""
    with worker_libraries():
        from worker.run.probes import probe_and_store
    with _program() as program:
        found = probe_and_store(program.sessions, program.settings, name)
    typer.echo(f"{name} can: {', '.join(sorted(found.capabilities))}")
    for capability, reason in found.missing.items():
        typer.echo(f"not {capability}: {reason}")
    for remark in found.remarks:
        typer.echo(remark)


@provider.command("key")
def key(name: str) -> None:
    """Ask for a provider's key and store it encrypted, in place of the one before."""
    with _program() as program:
        secret = typer.prompt("Key", hide_input=True)
        with transaction(program.sessions) as session:
            row = queries.provider_named(session, name=name)
            queries.set_key(session, provider_id=row.id, key=secret, box=SecretBox(program.settings.data_dir))
    typer.echo(f"The key of {name} is stored.")


@provider.command("disable")
def disable(name: str) -> None:
    """Let a provider be called no more. What is queued for it waits."""
    with _program() as program, transaction(program.sessions) as session:
        queries.disable_provider(session, provider_id=queries.provider_named(session, name=name).id)
    typer.echo(f"{name} is disabled.")


@provider.command("enable")
def enable(name: str) -> None:
    """Let a disabled provider be called again."""
    with _program() as program, transaction(program.sessions) as session:
        queries.enable_provider(session, provider_id=queries.provider_named(session, name=name).id)
    typer.echo(f"{name} may be called again.")


@provider.command("remove")
def remove(name: str) -> None:
    """Remove a provider and its key. Its stored calls stay."""
    with _program() as program, transaction(program.sessions) as session:
        queries.remove_provider(session, name=name)
    typer.echo(f"Removed {name}.")


@provider.command("cap")
def cap(
    price: Annotated[float, typer.Argument(min=0, callback=finite, help="The most that may be spent.")],
    batch: Annotated[int | None, typer.Option(help="The batch's number: on all of its calls.")] = None,
    person: Annotated[str | None, typer.Option(help="The account's name: on one day's calls (UTC).")] = None,
) -> None:
    """Cap what a batch may cost, or a person a day. At its cap a batch stops with the reason."""
    if (batch is None) == (person is None):
        raise typer.BadParameter("Name a batch or a person: --batch 12, or --person alice.")
    with _program() as program, transaction(program.sessions) as session:
        if batch is not None:
            cap_batch(session, batch_id=batch, price_cap=price)
        if person is not None:
            cap_person(session, account_id=account_named(session, name=person).id, price_cap_per_day=price)
    typer.echo(f"The cap is {price:g}.")


@provider.command("replay")
def replay(call_id: Annotated[int, typer.Argument(help="The call's number, as its run's page shows it.")]) -> None:
    """Make a stored call again and show how far the new reply is from the stored one."""
    with worker_libraries():
        from worker.run.replay import replay_call
    with _program() as program:
        drift = replay_call(program.sessions, program.settings, call_id)
    typer.echo(f"then ({drift.before.model}, {drift.before.outcome}): {_plain(drift.before.text)}")
    typer.echo(f"now  ({drift.now.model}, {drift.now.outcome}): {_plain(drift.now.text)}")
    if drift.largest_logprob_change is not None:
        typer.echo(f"largest change of a log-probability: {drift.largest_logprob_change:.3g} nats")
    typer.echo("the same" if drift.is_same else "not the same")


def _plain(text: str) -> str:
    """A model's text for a terminal, which would obey control characters."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
