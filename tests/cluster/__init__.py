"""Three hosts made of network namespaces on one machine, and what happens to them."""
