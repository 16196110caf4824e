"""Right and wrong predictions of an executable explanation over a whole corpus, from counts by level.

Executed on a token, an explanation predicts a level of 0..10. Sums over all tokens of the corpus are known from the
collection, so that only the tokens with a predicted level above 0 are visited. Everything here follows from how many
tokens there are at each level, on how many of them the neuron fires, and the sum of their activations.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import sqrt

import numpy as np

from app.domain.activations import NORMALISED_LEVELS, NORMALISED_MAXIMUM
from app.domain.arrays import Float64s, Int64s
from app.domain.marking import N_

EXECUTED = "executed"
"""The scorer of an executed explanation: its correlation over the whole corpus."""
LABEL = N_("Executed on the whole corpus")
DESCRIPTION = N_(
    "Pearson's r of expected and real activations over every token of the corpus, on which the lexical simulator has "
    "executed the text; exact, without a sample."
)
BLIND_SPOT = N_("Counts only what the lexical simulator can read: other words of a text change nothing.")
CORPUS = "corpus"
"""The sample that the results describe: every token of a collection's corpus."""
NOT_EXECUTABLE = "nothing in this text can be executed: it quotes no token and names no class or position"
FIRING_LEVEL = 3
"""The level from which a neuron counts as firing on a token, and a token counts as claimed.

Three tenths of the neuron's maximum over the corpus is what "weakly" means. The threshold is the same on both sides, so
that a text with every activation right has no false alarm and no miss. On the demo the median neuron fires on
1.7% of the tokens by this measure; at half of the maximum it would be 0.26%, too few to see what a text leaves out.
"""
MISTAKE_TOKENS = 20
"""Number of tokens stored per kind of mistake: those behind the most mistakes."""
MISTAKE_EXCERPTS = 5
"""Number of excerpts stored per kind of mistake."""


class Mistake(StrEnum):
    """The two kinds of mistakes of an executed explanation on a token."""

    FALSE_ALARM = "false_alarm"
    """The token is claimed, and the neuron does not fire."""
    MISS = "miss"
    """The token is not claimed, and the neuron fires."""


_CONSTANT = 1e-12
"""Share of the squared magnitude below which a variance is rounding error."""


@dataclass(frozen=True, slots=True)
class NeuronTotals:
    """One neuron over all N tokens of a corpus: mean and variance (divided by N) in the model's own units."""

    n_tokens: int
    mean: float
    variance: float
    n_firing: int


@dataclass(frozen=True, slots=True)
class LevelCounts:
    """Counts and sums over the tokens that an explanation predicts at each level, [11] each. Level 0 is ignored.

    ``sums`` are of the real activations, in the model's own units.
    """

    tokens: Int64s
    firing: Int64s
    sums: Float64s


@dataclass(frozen=True, slots=True)
class Measured:
    """A number, or the reason why it is undefined."""

    value: float | None
    undefined_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Execution:
    """Results of an executed explanation. Counts are of tokens; ``n_right`` tokens are both claimed and fired on."""

    n_tokens: int
    n_firing: int
    n_claimed: int
    n_right: int
    correlation: Measured
    precision: Measured
    recall: Measured
    f1: Measured
    average_precision: Measured

    @property
    def n_false_alarms(self) -> int:
        """False positives: tokens that the explanation claims and on which the neuron does not fire."""
        return self.n_claimed - self.n_right

    @property
    def n_misses(self) -> int:
        """False negatives: tokens on which the neuron fires and that the explanation does not claim."""
        return self.n_firing - self.n_right


def firing_threshold(maximum: float) -> float:
    """The activation from which a neuron counts as firing; infinite if its maximum is not above 0."""
    return FIRING_LEVEL / NORMALISED_MAXIMUM * maximum if maximum > 0 else np.inf


def execution(totals: NeuronTotals, counts: LevelCounts) -> Execution:
    """All results of one explanation on one neuron. Exact: nothing is sampled."""
    n_claimed = int(counts.tokens[FIRING_LEVEL:].sum())
    n_right = int(counts.firing[FIRING_LEVEL:].sum())
    n_firing = totals.n_firing
    precision = Measured(n_right / n_claimed) if n_claimed else Measured(None, "it claims no token of the corpus")
    silent = "the neuron fires on no token of the corpus"
    recall = Measured(n_right / n_firing) if n_firing else Measured(None, silent)
    f1 = Measured(2 * n_right / (n_claimed + n_firing)) if n_firing else Measured(None, silent)
    return Execution(
        n_tokens=totals.n_tokens,
        n_firing=n_firing,
        n_claimed=n_claimed,
        n_right=n_right,
        correlation=_correlation(totals, counts),
        precision=precision,
        recall=recall,
        f1=f1,
        average_precision=Measured(_average_precision(totals, counts)) if n_firing else Measured(None, silent),
    )


def _correlation(totals: NeuronTotals, counts: LevelCounts) -> Measured:
    """Pearson r of predicted and real activations over all tokens."""
    levels = np.arange(NORMALISED_LEVELS, dtype=np.float64)
    n = totals.n_tokens
    mean = float(levels @ counts.tokens) / n
    variance = float(levels**2 @ counts.tokens) / n - mean**2
    if variance <= _CONSTANT * NORMALISED_MAXIMUM**2:
        return Measured(None, "it expects the same on every token")
    if totals.variance <= _CONSTANT * totals.mean**2:
        return Measured(None, "the real activations are the same on every token")
    covariance = float(levels @ counts.sums) / n - totals.mean * mean
    r = covariance / sqrt(variance) / sqrt(totals.variance)
    return Measured(min(1.0, max(-1.0, r)))


def _average_precision(totals: NeuronTotals, counts: LevelCounts) -> float:
    """Area under precision over recall as the threshold falls from level to level: sum of (R_k - R_k-1) P_k.

    Tokens of one level are taken together; the last step takes all tokens. Source: ``average_precision_score`` of
    scikit-learn, which follows Zhu, "Recall, precision and average precision" (2004).
    """
    tokens, firing = counts.tokens[::-1].copy(), counts.firing[::-1].copy()
    tokens[-1], firing[-1] = totals.n_tokens - tokens[:-1].sum(), totals.n_firing - firing[:-1].sum()
    taken, right = np.cumsum(tokens), np.cumsum(firing)
    precision = right / np.maximum(taken, 1)
    return float((firing * precision).sum() / totals.n_firing)
