"""Checks of an installation: one finding for each requirement of the machine."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class CheckState(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    LIMITED = "limited"
    """A feature is missing; the rest works."""
    BROKEN = "broken"
    """Nothing works until this is fixed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One checked requirement: what was found, and what to do if it is not met."""

    name: str
    state: CheckState
    found: str
    advice: str = ""

    @property
    def line(self) -> str:
        """The finding as one line of text."""
        return f"{self.state.value:8}{self.name}: {self.found}{f'. {self.advice}' if self.advice else ''}"

    def as_json(self) -> dict[str, Any]:
        """The finding as JSON."""
        return asdict(self)


def works(findings: Sequence[Finding]) -> bool:
    """Whether no finding is broken."""
    return all(finding.state is not CheckState.BROKEN for finding in findings)


def room(name: str, free_bytes: int, *, least: int, enough: int, advice: str) -> Finding:
    """A finding about memory or disk: broken below ``least`` bytes, limited below ``enough``."""
    state = CheckState.BROKEN if free_bytes < least else CheckState.LIMITED if free_bytes < enough else CheckState.OK
    return Finding(name, state, f"{free_bytes / 1e9:.1f} GB free", "" if state is CheckState.OK else advice)
