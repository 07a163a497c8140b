"""`make seed`: a believable catalogue for an empty marketplace, through the public API alone."""
