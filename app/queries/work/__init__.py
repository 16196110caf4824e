"""Tasks, workers and pauses as pages show them, and the columns common to runs and tasks."""
