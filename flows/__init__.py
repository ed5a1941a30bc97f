"""The command line and the wiring: replay, simulate, demo."""
