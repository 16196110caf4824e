"""Flags and what became of them."""
