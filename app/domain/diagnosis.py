"""What a machine can do: one finding for each thing that may be missing."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class CheckState(StrEnum):
    """What a finding means."""

    OK = "ok"
    LIMITED = "limited"
    """The rest works without it."""
    BROKEN = "broken"
    """Nothing works before it is mended."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing: what was found, and what to do where it is not as it should be."""

    name: str
    state: CheckState
    found: str
    advice: str = ""

    @property
    def line(self) -> str:
        """The finding as one line of text."""
        return f"{self.state.value:8}{self.name}: {self.found}{f'. {self.advice}' if self.advice else ''}"

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def works(findings: Sequence[Finding]) -> bool:
    """Whether nothing is broken."""
    return all(finding.state is not CheckState.BROKEN for finding in findings)


def room(name: str, free_bytes: int, *, least: int, enough: int, advice: str) -> Finding:
    """A finding about memory or disk: broken below ``least`` bytes, limited below ``enough``."""
    state = CheckState.BROKEN if free_bytes < least else CheckState.LIMITED if free_bytes < enough else CheckState.OK
    return Finding(name, state, f"{free_bytes / 1e9:.1f} GB free", "" if state is CheckState.OK else advice)
