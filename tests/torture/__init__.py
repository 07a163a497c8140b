"""A load test during which a part of the stack is killed every second; afterwards all records are compared."""
