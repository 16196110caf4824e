"""The append-only history."""
