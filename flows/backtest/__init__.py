"""`cem backtest`: what other rules would have decided over the same events."""
