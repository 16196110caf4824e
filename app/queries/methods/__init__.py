"""Methods: their definitions, and what they have achieved."""
