"""Look-up of steps by name. Pages, prices and workers know only the steps of the catalogue."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from app.domain.steps import explainers, scorers, simulators
from app.domain.steps.spec import CalibrationSpec, ExplainerSpec, ScorerSpec, SimulatorSpec, StepSpec

Spec = TypeVar("Spec", bound=StepSpec)


class UnknownStep(LookupError):
    """No step or parameter has this name, or steps do not fit together. The message lists the known ones."""


def catalogued(specs: Iterable[Spec]) -> Mapping[str, Spec]:
    """The specs by name. Raises ValueError if two of them have the same name."""
    found: dict[str, Spec] = {}
    for spec in specs:
        if spec.name in found:
            raise ValueError(f"two {spec.kind}s are called {spec.name}")
        found[spec.name] = spec
    return found


EXPLAINERS: Mapping[str, ExplainerSpec] = catalogued(explainers.ALL)
SIMULATORS: Mapping[str, SimulatorSpec] = catalogued(simulators.SIMULATORS)
CALIBRATIONS: Mapping[str, CalibrationSpec] = catalogued(simulators.CALIBRATIONS)
SCORERS: Mapping[str, ScorerSpec] = catalogued(scorers.ALL)
ALL: tuple[StepSpec, ...] = (*EXPLAINERS.values(), *SIMULATORS.values(), *CALIBRATIONS.values(), *SCORERS.values())


def named(specs: Mapping[str, Spec], name: str, kind: str) -> Spec:
    """The step of this name. Raises UnknownStep, which lists the existing names."""
    if name not in specs:
        raise UnknownStep(f"There is no {kind} called {name!r}; there are: {', '.join(sorted(specs))}.")
    return specs[name]


def checked(parameters: Any, known: Iterable[str], owner: str) -> Mapping[str, Any]:
    """The parameters unchanged. Raises UnknownStep, with the names that ``owner`` knows, for any other name."""
    names = tuple(known)
    if not isinstance(parameters, Mapping):
        raise UnknownStep(f"The parameters of {owner} must be a mapping of names to values, not {parameters!r}.")
    for name in parameters:
        if name not in names:
            there_are = ", ".join(sorted(names)) or "none"
            raise UnknownStep(f"{owner[0].upper()}{owner[1:]} has no parameter {name!r}; it has: {there_are}.")
    return parameters
