"""`cem explain`: why a decision was made, and why another was not, by what the engine itself evaluated."""
