"""The states of neurons that lists filter by."""

from enum import StrEnum


class NeuronState(StrEnum):
    """A state that lists filter by. A neuron may have several at once."""

    UNEXPLAINED = "unexplained"
    EXPLAINED = "explained"
    DOUBTFUL = "doubtful"
    """An automatic doubt was raised about the neuron's explanation."""
    FLAGGED = "flagged"
    DISPUTED = "disputed"
    """Reviewers disagreed about the explanation, as far as their verdicts may be shown."""
    NEEDS_EXPLANATION = "needs_explanation"
    """Reviewers rejected the explanations, and there is no other one to show."""
    QUEUED = "queued"
    NO_EXPLANATION = "no_explanation"
    """The neuron is unexplained, and a method found nothing worth saying."""
