"""The one contract for leased work between the web program and the workers."""
