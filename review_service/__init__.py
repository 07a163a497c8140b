"""Reviews: what buyers say of the work they got, and what it comes to for each gig."""
