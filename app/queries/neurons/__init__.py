"""Neurons: the list, the page, and the records that a worker reads."""
