"""ReviewService's commands: a module for each write."""
