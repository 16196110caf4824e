"""``neuron-audit doubts``: the automatic doubts about a subject's explanations, computed anew."""

from typing import Annotated

import typer

from app.cli.common import settings
from app.db import make_sessions
from app.queries.doubts.store import refresh_subject
from app.schema import open_installation


def doubts_command(subject: Annotated[str, typer.Argument(help="The subject's name in addresses.")]) -> None:
    """Compute the doubts about a subject's explanations anew, and about those of a subject whose null twin it is.

    Doubts are written with the scores they follow from, and computed anew after a check. This command serves after
    others have changed them: a new null twin, or texts that several neurons share.
    """
    engine = open_installation(settings())
    try:
        n = refresh_subject(make_sessions(engine), slug=subject)
    finally:
        engine.dispose()
    typer.echo(f"{subject}: doubts about the explanations of {n:,} neurons")
