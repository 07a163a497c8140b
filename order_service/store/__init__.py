"""OrderService's database: all of its SQL."""
