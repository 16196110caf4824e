"""Loads a model and its tokenizer, hooks its neurons, cuts a corpus into excerpts."""
