"""The rules of reviews: values in, values out, no I/O."""
