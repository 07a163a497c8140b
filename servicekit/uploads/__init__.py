"""Uploads of files: bodies that stream to disk, their rate, their number, and the folders that they come into."""
