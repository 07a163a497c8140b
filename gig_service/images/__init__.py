"""Pictures of gigs: taken, decoded, stored, and swept away."""
