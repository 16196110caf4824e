"""All stored data of neurons, for export to files."""
