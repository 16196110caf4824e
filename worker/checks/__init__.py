"""Explanations executed over a whole corpus."""
