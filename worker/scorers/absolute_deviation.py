"""The share of the real activations' mean absolute value that the prediction explains."""

from app.domain.fit import absolute_deviation
from worker.scorers.samples import SampleScorer


class AbsoluteDeviationScorer(SampleScorer):
    """1 - mean|real - predicted| / mean|real|. Source: ``absolute_dev_explained_score`` of the 2023 paper's code."""

    name = "absolute_deviation"
    version = 1
    formulas = ((name, absolute_deviation),)
