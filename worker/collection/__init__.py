"""Streaming statistics and samples over all neurons in one pass."""
