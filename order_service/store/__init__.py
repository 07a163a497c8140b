"""OrderService's database: every model and every SQL statement."""
