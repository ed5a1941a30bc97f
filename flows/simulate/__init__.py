"""A synthetic bank: customers who live their days and, here and there, a story that a rule should find.

`simulate` writes the event files and, beside them, `truth.ndjson` with every story and decoy that was put in. The exact
pattern of each story is in the docstring of its function in the modules `stories_…`. There are two sets: `demo`, and
`pack` for the scenarios of the bank's pack; `record` adds what happens by itself to the truth of the latter.
"""

from flows.simulate.run import SimulationReport, simulate

__all__ = ["SimulationReport", "simulate"]
