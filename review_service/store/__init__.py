"""ReviewService's database: all of its SQL."""
