"""What the serving benchmarks share: a release to serve, processes to start and watch, and what puts load on them."""
