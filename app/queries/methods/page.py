"""All methods, as their page shows them."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from app.queries.common.prepared import one_statement
from app.queries.methods.definitions import UsableMethods, send_usable
from app.queries.methods.figures import MethodFigures, send_figures


def methods_with_use(session: Session) -> tuple[UsableMethods, Sequence[MethodFigures]]:
    """What can be queued now, and every version of every method with its use. One query."""
    with one_statement(session) as asked:
        usable, figures = send_usable(asked), send_figures(asked)
    return usable.found(), figures.found()
