"""Reviewers' error rates on controls, and the share that holds, corrected for those errors."""

from dataclasses import dataclass

import numpy as np

from app.domain.arrays import Float64s
from app.domain.audit.shares import NO_VERDICT, Share
from app.domain.intervals import CONFIDENCE
from app.domain.judgements import share
from app.domain.marking import N_
from app.domain.scores import Estimate

N_DRAWS = 10_000
NO_RIGHT_CONTROL = N_("no control that holds was judged")
NO_WRONG_CONTROL = N_("no control that fails was judged")
NO_BETTER_THAN_CHANCE = N_("on controls the verdicts are no better than chance")
_JEFFREYS = 0.5
_LEAST_LEFT = 0.5
"""Least share of draws with reviewers better than chance; below it the controls are too few for a correction."""


@dataclass(frozen=True, slots=True)
class Controls:
    """Verdicts on items whose truth is known.

    Of ``n_right`` explanations that hold, ``right_held`` were said to hold; of ``n_wrong`` that do not,
    ``wrong_failed``
    were said to fail.
    """

    n_right: int
    right_held: int
    n_wrong: int
    wrong_failed: int

    @property
    def sensitivity(self) -> Estimate:
        """The share of right controls that were said to hold, q1, with Wilson's interval."""
        return share(self.right_held, self.n_right) if self.n_right else Estimate(None, NO_RIGHT_CONTROL)

    @property
    def specificity(self) -> Estimate:
        """The share of wrong controls that were not said to hold, q0, with Wilson's interval."""
        return share(self.wrong_failed, self.n_wrong) if self.n_wrong else Estimate(None, NO_WRONG_CONTROL)


def corrected_share(seen: Share | None, controls: Controls, *, seed: int) -> Estimate:
    """The share that holds if reviewers never erred: (p + q0 - 1) / (q0 + q1 - 1), kept within 0 to 1.

    p is the share that was said to hold, q1 the sensitivity and q0 the specificity of the same kind of verdict on
    controls. The interval covers all three samples: percentiles of the ratio over independent draws of p, q0 and q1
    from their Jeffreys posteriors, p at its effective sample size, draws with q0 + q1 <= 1 left out. Undefined without
    a verdict, without controls of both kinds, and where controls were judged no better than by chance. Equal seeds
    give equal intervals. Sources: Rogan and Gladen, "Estimating prevalence from the results of a screening test"
    (1978); the interval's kind: Flor et al., "Comparison of Bayesian and frequentist methods for prevalence estimation
    under misclassification" (2020).
    """
    q1, q0 = controls.sensitivity, controls.specificity
    if seen is None:
        return Estimate(None, NO_VERDICT)
    if q1.value is None or q0.value is None:
        return Estimate(None, q1.undefined_reason or q0.undefined_reason)
    if q0.value + q1.value <= 1:
        return Estimate(None, NO_BETTER_THAN_CHANCE)
    value = float(np.clip((seen.value + q0.value - 1) / (q0.value + q1.value - 1), 0, 1))
    draws = _draws(seen, controls, seed)
    if draws.size < _LEAST_LEFT * N_DRAWS:
        return Estimate(None, NO_BETTER_THAN_CHANCE)
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value, interval=(min(value, float(low)), max(value, float(high))))


def _draws(seen: Share, controls: Controls, seed: int) -> Float64s:
    generator = np.random.default_rng(seed)

    def posterior(successes: float, trials: float) -> Float64s:
        return generator.beta(successes + _JEFFREYS, trials - successes + _JEFFREYS, N_DRAWS)

    q1 = posterior(controls.right_held, controls.n_right)
    q0 = posterior(controls.wrong_failed, controls.n_wrong)
    if np.isinf(seen.n_effective):
        p = np.full(N_DRAWS, seen.value)
    else:
        p = posterior(seen.value * seen.n_effective, seen.n_effective)
    better = q0 + q1 > 1
    return np.asarray(np.clip((p + q0 - 1)[better] / (q0 + q1 - 1)[better], 0, 1))
