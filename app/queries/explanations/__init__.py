"""Explanations with their simulations and scores."""
