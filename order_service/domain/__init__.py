"""The rules of orders: values in, values out, no I/O."""
