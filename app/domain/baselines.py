"""The baselines that may stand beside a score."""

TOKEN_LOOKUP = "token_lookup"  # noqa: S105 - the name of a baseline
"""A table of tokens in place of the explanation."""
SHUFFLED = "shuffled"
"""The same explanation on another neuron of the same layer."""
BASELINES = (TOKEN_LOOKUP, SHUFFLED)
