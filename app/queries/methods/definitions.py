"""Methods: the built-in ones, and what a page offers to choose from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import and_, or_, select
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session

from app.domain.methods import BUILTIN_METHODS, MethodDefinition
from app.domain.steps.catalogue import UnknownStep
from app.domain.steps.method import steps_of
from app.errors import NotFound
from app.models import Method, Provider
from app.queries.common.prepared import PendingRows, PreparedSelect, Reads, rows_of


@dataclass(frozen=True, slots=True)
class StoredMethod:
    """A version of a method, as it is stored."""

    id: int
    name: str
    version: int
    label: str
    explainer: str
    simulator: str
    scorers: list[str]
    provider: str | None
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NewestMethod(StoredMethod):
    """The newest version of a method, with what its language model is known to be able to do."""

    capabilities: list[str] | None
    """None without a language model, and for one that was not probed."""


STORED_METHOD = tuple(getattr(Method, field.name) for field in fields(StoredMethod))
"""The columns of a ``StoredMethod``."""
NEWEST_METHODS = PreparedSelect(
    NewestMethod,
    select(*STORED_METHOD, Provider.capabilities)
    .ext(distinct_on(Method.name))
    .outerjoin(Provider, Provider.name == Method.provider)
    .where(or_(Method.provider.is_(None), and_(Provider.id.is_not(None), Provider.disabled_at.is_(None))))
    .order_by(Method.name, Method.version.desc()),
)
"""Of every method whose language model is known and not disabled."""


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


def methods(session: Session) -> list[NewestMethod]:
    """What a person may choose: see ``offered``. One query."""
    return offered(rows_of(session, NEWEST_METHODS.given()))


def offered(newest: Iterable[NewestMethod]) -> list[NewestMethod]:
    """Methods of ``NEWEST_METHODS`` that a person may choose: their language model can do what they need.

    A language model that was not probed may be able to do anything. Methods that need none come first; each kind by
    name.
    """
    found = [method for method in newest if _can_run(definition_of(method), method.capabilities)]
    return sorted(found, key=lambda method: (method.provider is not None, method.name))


@dataclass(frozen=True, slots=True)
class UsableMethods:
    """What can be queued now, and which language models are known."""

    ids: frozenset[int]
    names: frozenset[str]
    providers: frozenset[str]


@dataclass(frozen=True, slots=True)
class _ProviderName:
    name: str


_PROVIDERS = PreparedSelect(_ProviderName, select(Provider.name))


@dataclass(frozen=True, slots=True)
class PendingUsable:
    """What can be queued now, available after the round trip."""

    newest: PendingRows[NewestMethod]
    providers: PendingRows[_ProviderName]

    def found(self) -> UsableMethods:
        """The methods that ``methods`` offers, by id and by name, and the known language models."""
        able, providers = offered(self.newest.rows), frozenset(row.name for row in self.providers.rows)
        return UsableMethods(
            frozenset(method.id for method in able), frozenset(method.name for method in able), providers
        )


def send_usable(asked: Reads) -> PendingUsable:
    """Ask what can be queued now, and which language models are known."""
    return PendingUsable(asked.send(NEWEST_METHODS.given()), asked.send(_PROVIDERS.given()))


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


def definition_of(row: Method | NewestMethod) -> MethodDefinition:
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
