"""Deployments of the marketplace."""
