"""The pipeline: collects, explains, simulates and scores. The only package that knows torch."""
