"""Expected activations from a text and tokens, one module per simulator."""
