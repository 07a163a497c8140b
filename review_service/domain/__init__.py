"""The rules of reviews: values in, values out, without I/O."""
