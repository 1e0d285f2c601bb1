"""Benchmarks beside peers and floors."""
