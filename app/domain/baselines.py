"""The baselines of a score."""

TOKEN_LOOKUP = "token_lookup"  # noqa: S105 - the name of a baseline
"""Predicts by a table of the tokens' mean activations, without the explanation."""
SHUFFLED = "shuffled"
"""The shuffled baseline: the same explanation on another neuron of the same layer."""
BASELINES = (TOKEN_LOOKUP, SHUFFLED)
