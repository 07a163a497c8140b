"""Backups of a stack: `make backup` and `make restore`. docs/backup.md has what they promise."""
