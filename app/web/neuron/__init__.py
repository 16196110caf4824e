"""What the pages about one neuron share: its address, its head, its evidence, the methods it may be queued with."""
