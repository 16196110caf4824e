"""Everything that is known of neurons, to be written to files."""
