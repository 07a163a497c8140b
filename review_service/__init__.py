"""ReviewService: buyers' reviews of their orders, and the rating of each gig."""
