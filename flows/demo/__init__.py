"""The demonstration: a synthetic bank, its rules over it, and what came of it, in one command.

`run_demo` simulates, replays, loads everything into an embedded ClickHouse and shows decisions, precision and recall
against the truth, one ticket explained, and the SQL to go on with. `show_query` answers a query on the result.
"""

from flows.demo.lock import InUseError
from flows.demo.query import QueryError, show_query
from flows.demo.run import DemoJob, run_demo

__all__ = ["DemoJob", "InUseError", "QueryError", "run_demo", "show_query"]
