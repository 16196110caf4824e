"""Paired comparison of two explanations: which predicts the same excerpts better, if the difference is significant."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.domain.arrays import Float32s
from app.domain.scores import Estimate, margin_with_interval


class Better(StrEnum):
    """The result of a paired comparison."""

    FIRST = "first"
    SECOND = "second"
    NEITHER = "neither"
    """The interval of the difference contains 0."""
    UNKNOWN = "unknown"
    """The difference or its interval is not defined."""


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """The second explanation's correlation minus the first's, on the excerpts that both were scored on."""

    difference: Estimate
    n_excerpts: int

    @property
    def better(self) -> Better:
        """The conclusion from the difference and its 95% interval."""
        if self.difference.value is None or self.difference.interval is None:
            return Better.UNKNOWN
        low, high = self.difference.interval
        if low > 0:
            return Better.SECOND
        return Better.FIRST if high < 0 else Better.NEITHER


def paired_difference(
    real: Sequence[Float32s],
    expected: tuple[Sequence[Float32s], Sequence[Float32s]],
    strata: Sequence[int],
    *,
    seed: int = 0,
) -> PairedDifference:
    """The second of two explanations' correlation minus the first's on R excerpts, [T] each in the model's units.

    Paired, like the margin over the token table: each bootstrap draw takes the same excerpts for both explanations,
    within
    their ``strata`` (their sample).
    """
    if not real:
        return PairedDifference(Estimate(None, "no excerpt was scored for both"), 0)
    first, second = expected
    return PairedDifference(margin_with_interval(real, (second, first), strata, seed=seed), len(real))
