"""All scenarios by name: their modules register them."""

from benchmarks.faults import (  # noqa: F401
    scenarios_engine,
    scenarios_input,
    scenarios_kafka,
    scenarios_plain,
    scenarios_sinks,
    scenarios_together,
)
from benchmarks.faults.scenario import SCENARIOS as SCENARIOS
