"""The demo: a small trained model, the corpus read from the user's own interpreter, and the scripts that make it."""
