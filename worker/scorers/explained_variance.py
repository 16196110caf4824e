"""How much of the real activations' variance the predicted ones explain."""

from app.domain.fit import explained_variance, uncentred_rsquared
from worker.scorers.samples import SampleScorer


class ExplainedVarianceScorer(SampleScorer):
    """The 2023 paper's explained variance, and what its published code calls rsquared, under its own name.

    Both are about the simulation as it was calibrated: without a calibration they are low, however
    well the simulation correlates.
    """

    name = "explained_variance"
    version = 1
    formulas = ((name, explained_variance), ("uncentred_rsquared", uncentred_rsquared))
