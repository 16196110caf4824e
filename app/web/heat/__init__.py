"""Tokens and their activations as heatmap markup."""
