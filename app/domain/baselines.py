"""The baselines of a score."""

TOKEN_LOOKUP = "token_lookup"  # noqa: S105 - the name of a baseline
"""Predicts each token's mean activation from a table; uses no explanation."""
SHUFFLED = "shuffled"
"""The shuffled baseline: the same explanation on another neuron of the same layer."""
BASELINES = (TOKEN_LOOKUP, SHUFFLED)
