"""Figures that benchmarks have measured, as data of the repository, for pages that show what scores are worth."""
