"""Runs the command, and ends the process without notice in the middle of the n-th operation of a kind.

    python killed_at_a_write.py OPERATION N ARGUMENT…

``OPERATION``: one of ``state.disk.Disk``, or ``lines`` for the lines of a sink. N 0: never.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys

from flows import files_source
from sinks import files
from state import delta_store
from state.disk import Disk


def main() -> None:
    operation, fatal = sys.argv[1], int(sys.argv[2])
    done = itertools.count(1)  # counts right in several threads
    kept = files._LinesPartition if operation == "lines" else Disk
    name = "write_batch" if operation == "lines" else operation
    plain = getattr(kept, name)

    def counted(self, *arguments):
        if next(done) == fatal:
            if operation == "write":
                file, data = arguments
                plain(self, file, memoryview(data)[: len(data) // 2])
            elif operation == "lines":
                plain(self, [lines[: len(lines) // 2] for lines in arguments[0]])
                self._file.write(b'{"action_id": "torn')
                self._file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(self, *arguments)

    setattr(kept, name, counted)
    delta_store.MIN_DELTAS_BYTES = 1  # so that bases replace deltas all the time
    files_source.BATCH_BYTES = 100_000  # and a run has many epochs
    from flows.cli import main as run

    sys.argv = ["cem", *sys.argv[3:]]
    run()


if __name__ == "__main__":
    main()
