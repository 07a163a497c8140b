"""The bytes of files that people send each other: their storage, the scanner, and what is swept."""
