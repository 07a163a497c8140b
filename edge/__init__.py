"""The Python side of the public edge: it renders Envoy's configuration from the protos and the settings."""
