"""Neuronpedia's exports: features, activations and explanations, each in files of its own."""
