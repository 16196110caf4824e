"""Conversion between URLs and queries of the list of a subject's neurons."""
