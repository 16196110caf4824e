"""Methods: the built-in ones, and what a page offers to choose from."""

from collections.abc import Sequence

from sqlalchemy import exists, or_, select
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session

from app.domain.methods import BUILTIN_METHODS, MethodDefinition
from app.errors import NotFound
from app.models import Method, Provider

_CAN_RUN = or_(Method.provider.is_(None), exists().where(Provider.name == Method.provider))
_NEWEST = select(Method).ext(distinct_on(Method.name)).where(_CAN_RUN).order_by(Method.name, Method.version.desc())


def ensure_builtin_methods(session: Session, *, definitions: Sequence[MethodDefinition] = BUILTIN_METHODS) -> None:
    """Insert the built-in methods that are missing, by name and version. Safe to run at every start."""
    rows = [
        {
            "name": d.name,
            "version": d.version,
            "label": d.label,
            "explainer": d.explainer,
            "simulator": d.simulator,
            "scorers": list(d.scorers),
            "provider": d.provider,
            "parameters": dict(d.parameters),
        }
        for d in definitions
    ]
    if rows:
        session.execute(insert(Method).values(rows).on_conflict_do_nothing(index_elements=["name", "version"]))


def methods(session: Session) -> list[Method]:
    """What a person may choose: the newest version of every method whose language model is known.

    Methods that need no language model come first; each kind by name.
    """
    return sorted(session.scalars(_NEWEST), key=lambda method: (method.provider is not None, method.name))


def newest_method(session: Session, *, name: str) -> Method:
    """The newest version of a method. Raises NotFound."""
    found = session.scalar(select(Method).where(Method.name == name).order_by(Method.version.desc()).limit(1))
    if found is None:
        raise NotFound("There is no such method.")
    return found


def method_definition(session: Session, *, method_id: int) -> MethodDefinition:
    """One method as a worker builds it. Raises NotFound."""
    row = session.get(Method, method_id)
    if row is None:
        raise NotFound("There is no such method.")
    return MethodDefinition(
        name=row.name,
        version=row.version,
        label=row.label,
        explainer=row.explainer,
        simulator=row.simulator,
        scorers=tuple(row.scorers),
        provider=row.provider,
        parameters=row.parameters,
    )
