"""The rule language: load with positions, parse, check, plan, evaluate."""
