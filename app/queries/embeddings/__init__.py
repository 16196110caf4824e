"""Embeddings of explanations and of searches."""
