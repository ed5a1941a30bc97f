"""Benchmarks: scenarios with permanent names, compared within one run."""
