"""GigService: gigs, their packages, categories, search, and what reviews made of gigs and sellers."""
