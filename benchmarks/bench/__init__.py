"""`make bench`: the product beside its peers on one machine, and the report in docs/benchmarks.md."""
