"""The command line: ``neuron-audit``."""
