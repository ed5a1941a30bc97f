"""Typed settings and the YAML files that ship with the engine."""
