"""OrderService's writes, one module each: lock, decide by the domain, save."""
