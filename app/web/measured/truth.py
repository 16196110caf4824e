"""What scorers detect, as measured by ``benchmarks.truth`` on the demo."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class RightWins:
    """The share of ``n`` pairs in which the right text beats its wrong version of a kind, with its interval."""

    n: int
    share: float
    interval: tuple[float, float]
    area: float
    """Area under the ROC curve for right against wrong texts across neurons."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A weakness of a scorer: in a few words, and in a sentence whose subject is the scorer."""

    label: str
    sentence: str


@dataclass(frozen=True, slots=True)
class ScorerTruth:
    """Measurements of one score. ``wins`` are by kind of wrong text; shares are 0..1."""

    scorer: str
    wins: Mapping[str, RightWins]
    above_half: float
    """Share of the demo's texts that score above .5."""
    twin_above_half: float
    """The same on the demo's null twin, where there is nothing to explain."""
    coverage: float | None
    """Share of its 95% intervals that contained the true value; None where it was not measured."""
    shortfalls: tuple[Shortfall, ...]

    @property
    def name(self) -> str:
        """The score's name on pages."""
        return _NAMES.get(self.scorer, self.scorer.replace("_", " "))


@dataclass(frozen=True, slots=True)
class MeasuredTruth:
    """The figures, and how they were measured."""

    command: str
    corpus: str
    n_neurons: int
    n_tokens: int
    kinds: tuple[str, ...]
    scorers: tuple[ScorerTruth, ...]


_NAMES = {
    "correlation": "2023 score",
    "executed_f1": "executed F1",
    "detection_auc": "detection AUC",
    "fuzzing_auc": "fuzzing AUC",
}
"""Names on pages of scores whose stored name differs."""


@lru_cache(maxsize=1)
def measured_truth() -> MeasuredTruth:
    """The figures shipped with this version of the program."""
    document = json.loads((files(__package__) / "truth.json").read_text(encoding="utf-8"))
    return MeasuredTruth(
        command=document["command"],
        corpus=document["corpus"],
        n_neurons=document["n_neurons"],
        n_tokens=document["n_tokens"],
        kinds=tuple(document["kinds"]),
        scorers=tuple(
            ScorerTruth(
                scorer=name,
                wins={
                    kind: RightWins(own["n"], own["paired"], tuple(own["paired_interval"]), own["area"])
                    for kind, own in found["right_wins"].items()
                },
                above_half=found["above_half"],
                twin_above_half=found["twin_above_half"],
                coverage=found["coverage"],
                shortfalls=tuple(Shortfall(**short) for short in found["shortfalls"]),
            )
            for name, found in document["scorers"].items()
        ),
    )
