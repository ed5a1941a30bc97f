"""What the engine remembers: event series, windows, timers, contacts, tickets."""
