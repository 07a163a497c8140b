"""The process of watches and the feed."""
