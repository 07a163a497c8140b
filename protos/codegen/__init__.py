"""Code generation from the protos: stubs, descriptors, Envoy's tables, the API reference, and their checks."""
