"""Pictures of gigs: received, decoded and written anew, stored, and swept up after."""
