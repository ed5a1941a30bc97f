"""Where decisions, dead letters and counts are written."""
