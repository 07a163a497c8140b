"""`make load-data`: fill the databases of a stack with a large, believable marketplace, for trials and benchmarks."""
