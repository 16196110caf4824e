"""Runs and batches as stored and as shown: their status, progress, changes and results."""
