"""How far a model's output moves when a neuron's activations are replaced."""

from collections.abc import Sequence

import numpy as np

from app.domain.arrays import Float32s, Float64s
from app.domain.intervals import SHARE_EXPLAINED, bootstrap_interval
from app.domain.scores import Estimate


def jensen_shannon(log_p: Float32s, log_q: Float32s) -> Float64s:
    """The Jensen-Shannon divergence of two distributions at every position, in nats, 0..log 2. [T]

    ``log_p`` and ``log_q`` are log-probabilities [T, V], nats. (KL(p||m) + KL(q||m)) / 2 with m their
    mean. Source: Lin (1991), equation 4.1 with equal weights.
    """
    p, q = log_p.astype(np.float64), log_q.astype(np.float64)
    middle = np.logaddexp(p, q) - np.log(2)
    terms = [np.where(np.isfinite(x), np.exp(x) * (np.where(np.isfinite(x), x, 0.0) - middle), 0.0) for x in (p, q)]
    return np.asarray(np.maximum((terms[0] + terms[1]).sum(axis=-1) / 2, 0.0))


def ablation_score(
    simulated: Sequence[Float64s],
    mean_ablated: Sequence[Float64s],
    strata: Sequence[int],
    *,
    seed: int,
) -> Estimate:
    """1 - E[JSD(real, simulated activations)] / E[JSD(real, mean activation)], with an interval over excerpts.

    Divergences [T] per excerpt; the expectations run over all tokens. 1 if the simulated
    activations have the same effect as the real ones, 0 if they are no better than the neuron's mean.
    Undefined if the neuron has no effect downstream. Source: "Language models can explain neurons in language
    models" (2023), ablation scoring.
    """
    if not simulated:
        return Estimate(None, "there is no excerpt to score")
    rows = np.array([(s.sum(), m.sum()) for s, m in zip(simulated, mean_ablated, strict=True)])
    if rows[:, 1].sum() <= 0:
        return Estimate(None, "replacing the neuron by its mean changes no output")

    def statistic(sums: Float64s) -> Float64s:
        by_simulation, by_mean = sums.T
        return np.asarray(1 - np.divide(by_simulation, by_mean, out=np.full(len(sums), np.nan), where=by_mean > 0))

    value = float(statistic(rows.sum(axis=0)[None])[0])
    return Estimate(value, interval=bootstrap_interval(rows, strata, statistic, SHARE_EXPLAINED, seed=seed))
