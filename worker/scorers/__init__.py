"""A number from expected and real activations, one module per scorer."""
