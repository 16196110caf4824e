"""``neuron-audit steps``: the catalogue of steps as Markdown. The guide shows it."""

import typer

from app.domain.steps.catalogue import ALL
from app.domain.steps.spec import StepKind


def steps_command() -> None:
    """Print every step that a method may name: what it does, what it needs, what it does not notice."""
    typer.echo("\n\n".join(steps_table(kind) for kind in StepKind))


def steps_table(kind: StepKind) -> str:
    """The steps of one kind as a Markdown table."""
    rows = [
        f"| `{spec.name}` | {spec.description} | {', '.join(spec.needs) or 'nothing'} | {spec.blind_spot} |"
        for spec in ALL
        if spec.kind is kind
    ]
    return "\n".join([f"| {kind} | what it does | needs | does not notice |", "|---|---|---|---|", *rows])
