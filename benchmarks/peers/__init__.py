"""Programs that the product is compared with in `make bench`: FastAPI on the same PostgreSQL, and limits."""
