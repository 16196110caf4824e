"""Methods: the built-in ones, and what a page offers to choose from."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, or_, select
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session

from app.domain.methods import BUILTIN_METHODS, MethodDefinition
from app.domain.steps.catalogue import UnknownStep
from app.domain.steps.method import steps_of
from app.errors import NotFound
from app.models import Method, Provider

_NEWEST = (
    select(Method, Provider.capabilities)
    .ext(distinct_on(Method.name))
    .outerjoin(Provider, Provider.name == Method.provider)
    .where(or_(Method.provider.is_(None), and_(Provider.id.is_not(None), Provider.disabled_at.is_(None))))
    .order_by(Method.name, Method.version.desc())
)


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
    """What a person may choose: the newest version of every method whose language model can do it and is not disabled.

    A language model that was not probed may be able to do anything. Methods that need none come first; each kind by
    name.
    """
    found = [method for method, able in session.execute(_NEWEST) if _can_run(definition_of(method), able)]
    return sorted(found, key=lambda method: (method.provider is not None, method.name))


@dataclass(frozen=True, slots=True)
class UsableMethods:
    """What can be queued now, and which language models are known."""

    ids: frozenset[int]
    names: frozenset[str]
    providers: frozenset[str]


def usable_methods(session: Session) -> UsableMethods:
    """The methods that ``methods`` offers, by id and by name, and the known language models. Two queries."""
    offered = methods(session)
    providers = session.scalars(select(Provider.name))
    return UsableMethods(
        frozenset(method.id for method in offered), frozenset(method.name for method in offered), frozenset(providers)
    )


def _can_run(definition: MethodDefinition, able: Sequence[str] | None) -> bool:
    """Whether all of its steps exist and its language model, with these capabilities if it was probed, can do them."""
    try:
        needed = steps_of(definition).capabilities
    except UnknownStep:
        return False
    return able is None or needed <= frozenset(able)


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
    return definition_of(row)


def definition_of(row: Method) -> MethodDefinition:
    """A stored method as its steps are found by."""
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
