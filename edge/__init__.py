"""The Python side of the public edge: what Envoy reads is derived from the protos and rendered here."""
