"""The headline score: Pearson correlation of expected and real activations."""

from app.domain.scores import correlation_with_interval
from worker.scorers.samples import SampleScorer


class CorrelationScorer(SampleScorer):
    """Pearson r over all tokens laid end to end. Source: ``ev_correlation_score`` of the 2023 paper."""

    name = "correlation"
    version = 1
    formulas = ((name, correlation_with_interval),)
