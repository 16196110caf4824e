"""Explanations executed over a corpus."""
