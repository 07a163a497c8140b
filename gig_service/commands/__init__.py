"""GigService's writes: one module a command. Each locks, decides by the domain and saves."""
