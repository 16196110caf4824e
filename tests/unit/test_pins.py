"""Installations are made from constraints.txt alone, so it pins every package that is installed, and no other."""

import tomllib
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def test_every_package_that_is_installed_is_pinned_and_no_other() -> None:
    lines = (ROOT / "constraints.txt").read_text().split()
    assert sorted(_required()) == sorted(canonicalize_name(line.partition("==")[0]) for line in lines)


def test_pins_are_in_alphabetical_order_and_exact() -> None:
    lines = (ROOT / "constraints.txt").read_text().split()
    assert lines == sorted(lines, key=str.lower)
    assert all(str(Requirement(line).specifier).startswith("==") for line in lines)


def _required() -> set[str]:
    """Names of all packages that this project needs, theirs included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    waiting = [Requirement(line) for line in (*project["dependencies"], *extras["worker"], *extras["dev"])]
    seen = set[tuple[str, frozenset[str]]]()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (name, frozenset(requirement.extras)) in seen:
            continue
        seen.add((name, frozenset(requirement.extras)))
        waiting.extend(_needs(name, requirement.extras))
    return {name for name, _ in seen}


def _needs(name: str, extras: set[str]) -> Iterator[Requirement]:
    """What an installed package requires on this machine.

    Left out is what torch pins itself, the libraries of its accelerator: they differ between its builds.
    """
    for line in requires(name) or ():
        requirement = Requirement(line)
        pinned_by_torch = name == "torch" and str(requirement.specifier).startswith("==")
        marker = requirement.marker
        if not pinned_by_torch and (marker is None or any(marker.evaluate({"extra": e}) for e in (extras or {""}))):
            yield requirement
