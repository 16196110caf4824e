"""Data in and out: a source into the database, a subject out of it."""
