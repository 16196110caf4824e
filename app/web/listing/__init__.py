"""The list of a subject's neurons, between addresses and queries."""
