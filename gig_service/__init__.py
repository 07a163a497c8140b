"""GigService: gigs with their packages, images, ratings and categories, and the search over them."""
