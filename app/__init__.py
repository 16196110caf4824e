"""The core of Neuron Audit and its web program. Never imports torch, transformers or ``worker``."""
