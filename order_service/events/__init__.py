"""The process of watches, the feed and files."""
