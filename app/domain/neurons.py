"""The states of neurons that lists filter by."""

from enum import StrEnum


class NeuronState(StrEnum):
    """What a neuron may be filtered by. A neuron can be several of them at once."""

    UNEXPLAINED = "unexplained"
    EXPLAINED = "explained"
    DOUBTFUL = "doubtful"
    """There is an automatic doubt about its explanation."""
    FLAGGED = "flagged"
    DISPUTED = "disputed"
    """Reviewers disagreed about its explanation, as far as verdicts may be shown."""
    NEEDS_EXPLANATION = "needs_explanation"
    """Reviewers have rejected what there was, and nothing else can be shown."""
    QUEUED = "queued"
    NO_EXPLANATION = "no_explanation"
    """Unexplained, and a method has found nothing worth saying."""
