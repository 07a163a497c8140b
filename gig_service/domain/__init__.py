"""The rules of gigs: values in, values out, no I/O."""
