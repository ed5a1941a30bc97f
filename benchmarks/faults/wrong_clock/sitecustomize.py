"""With this folder on the path, Python starts with a wall clock that is wrong by ``WRONG_CLOCK_S`` seconds.

Only what Python programs take from `time` is wrong: deadlines of the system and of native libraries hold, as they do
when a machine's clock was set wrong before the program started.
"""

import os
import time

_OFFSET_S = int(os.environ.get("WRONG_CLOCK_S", "0"))
_time, _time_ns = time.time, time.time_ns


def _wrong_time() -> float:
    return _time() + _OFFSET_S


def _wrong_time_ns() -> int:
    return _time_ns() + _OFFSET_S * 1_000_000_000


time.time, time.time_ns = _wrong_time, _wrong_time_ns
