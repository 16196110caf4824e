"""The share of the real activations' variance that the prediction explains."""

from app.domain.fit import explained_variance, uncentred_rsquared
from worker.scorers.samples import SampleScorer


class ExplainedVarianceScorer(SampleScorer):
    """The 2023 paper's explained variance, and what its published code calls rsquared, under its own name.

    Both use the simulation after its calibration: without one they are low, however well the simulation correlates.
    """

    name = "explained_variance"
    version = 1
    formulas = ((name, explained_variance), ("uncentred_rsquared", uncentred_rsquared))
