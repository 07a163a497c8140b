"""From domain to proto, and back where a request says more than its fields."""
