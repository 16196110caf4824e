"""Our own formats, which hold everything that is known of a neuron: JSON lines and Parquet."""
