"""Providers of language models, and the calls to them."""
