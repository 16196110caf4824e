"""What runs and tasks share for pages and workers: tasks as pages show them, workers, pauses."""
