"""The document of the API with examples, which are made from its own schemas."""
