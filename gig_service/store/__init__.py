"""GigService's SQL: one module a concern. No other folder knows peewee."""
