"""Conversions between the domain and the protos."""
