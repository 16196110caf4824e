"""Lists of neurons and saved searches."""
