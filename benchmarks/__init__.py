"""How fast things are: numbers to compare within one run, never with those of another machine."""
