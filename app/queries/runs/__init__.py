"""Runs and batches: their lease, their progress, the queue they wait in."""
