"""A synthetic bank: customers who live their days and, here and there, a story that a rule should find.

`simulate` writes the event files and, beside them, `truth.ndjson` with every story and decoy that was put in. The exact
pattern of each story is in the docstring of its function in `stories_service` and `stories_risk`.
"""

from flows.simulate.run import SimulationReport, simulate

__all__ = ["SimulationReport", "simulate"]
