"""What a method is: its steps, their contracts, and the pipeline that runs them on one neuron."""
