"""The live engine: what runs in production, and what feeds it in tests and trials."""
