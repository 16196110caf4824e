"""How a result came about: a stored request as a command, the prompts of a method."""
