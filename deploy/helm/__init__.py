"""The Helm chart of the marketplace, the examples of its values, and their check."""
