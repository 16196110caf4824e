"""``neuron-audit history``: the append-only history and the chain that proves it."""

from typing import Annotated

import typer

from app.cli.common import opened, settings
from app.domain.history import verify
from app.queries.history.chain import chain_head, chain_links, unlinked
from app.queries.history.sealed import changed_rows
from app.queries.history.verdicts import changed_verdicts

history = typer.Typer(help="The append-only history.", no_args_is_help=True)

BROKEN = 1
MOST_TOLD = 20


@history.command("verify")
def history_verify(
    head: Annotated[str | None, typer.Option(help="A head that was written down earlier, as audit reports do.")] = None,
) -> None:
    """Compute the chain of events anew, and fail where an event was edited, removed, added or reordered.

    Rows of every append-only table (explanations, simulations, scores, verdicts and others) are compared with what was
    inserted; verdicts, the judged texts and the outcomes with their events.
    """
    with opened(settings()) as session:
        found = verify(chain_links(session), expected_head=head)
        added = unlinked(session)
        changed = list(changed_verdicts(session))
        named = {each.subject for each in changed}
        changed += [each for each in changed_rows(session) if each.subject not in named]
    for fault in found.faults[:MOST_TOLD]:
        typer.echo(f"link {fault.position}, {fault.subject}: {fault.what}")
    for subject in added[:MOST_TOLD]:
        typer.echo(f"{subject}: added without a link")
    for row in changed[:MOST_TOLD]:
        typer.echo(f"{row.subject}: {row.what}")
    if not found.holds_expected_head:
        typer.echo(f"the chain does not hold the head {head}: its end was removed, or it was written anew")
    n_faults = len(found.faults) + len(added) + len(changed) + (not found.holds_expected_head)
    typer.echo(f"{found.n_links} links, head {found.head or 'none'}: {_said(n_faults)}")
    raise typer.Exit(BROKEN if n_faults else 0)


def _said(n_faults: int) -> str:
    return "intact" if not n_faults else f"{n_faults} fault{'s' if n_faults > 1 else ''}"


@history.command("head")
def history_head() -> None:
    """Print the head of the chain, to be stored where nobody can change it."""
    with opened(settings()) as session:
        typer.echo(chain_head(session))
