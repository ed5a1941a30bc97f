"""Faults made while a live run is under load, and proof that nothing was lost: ``python -m benchmarks.faults``."""
