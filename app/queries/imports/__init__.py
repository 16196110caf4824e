"""Imports of outside data: their state, and what they store."""
