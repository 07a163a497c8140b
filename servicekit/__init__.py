"""Code that the three services share: bootstrap, pipeline, identity, errors, settings, database, clock, outbox."""
