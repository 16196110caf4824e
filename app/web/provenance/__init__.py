"""Provenance of results: a stored request as a command, the prompts of a method, citations."""
