"""Methods: their steps, the steps' contracts, and the pipeline that runs a method on one neuron."""
